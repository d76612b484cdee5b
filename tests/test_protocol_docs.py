"""The page of protocols says what the yamls say; ``python -m tests.test_protocol_docs`` writes its table anew."""

import yaml

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "evaluation.md"
START, END = "<!-- table of protocols, written by tests/test_protocol_docs.py -->\n", "<!-- end of the table -->\n"


def protocols():
    found = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "configs" / "protocol").glob("*.yaml"))}
    return {name: words for name, words in found.items() if "dataset" in words}


def row(name, words):
    if "data_list" not in words:
        joints, truth, origin = words["joints"], "held back", words["alignment"]
    elif "regressor" not in words:
        joints, truth, origin = words["joints"], "the poses before encoding", words["alignment"]
    else:
        joints = f"`{words['joints']}` by `{words['regressor']}`"
        truth, origin = words["truth"], ", ".join(words["alignment"])
        if words["mesh_alignment"] != words["alignment"]:
            origin += f"; meshes: {', '.join(words['mesh_alignment'])}"
    body = words.get("body", "MANO")
    gender = f"{body}, {words['gender'].replace('_', ' ')}" if "gender" in words else body
    boxes = f"{words['boxes']}, times {words['box_scale']:g}" if "box_scale" in words else words.get("boxes", "none")
    return f"| `{name}` | {words['dataset']}, {words['split']} | {joints} | {truth} | {origin} | {gender} | {boxes} |"


def table():
    head = "| protocol | data | joints | truth | origin | body of the truth | boxes |\n"
    return (
        head
        + "| --- | --- | --- | --- | --- | --- | --- |\n"
        + "".join(f"{row(name, words)}\n" for name, words in protocols().items())
    )


def test_the_table_is_that_of_the_yamls():
    text = PAGE.read_text(encoding="utf-8")
    assert text.split(START)[1].split(END)[0] == table(), "python -m tests.test_protocol_docs writes it anew"


def test_every_file_that_a_protocol_needs_is_named_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for words in protocols().values():
        for name in set(words["assets"]) - {"data", "members", "open"}:
            assert f"`{name}`" in text, name
    assert len(protocols()) == 12


def test_help_names_every_protocol():
    header = yaml.safe_load((ROOT / "configs" / "evaluation.yaml").read_text())["hydra"]["help"]["header"]
    names = {path.stem for path in (ROOT / "configs" / "protocol").glob("*.yaml")}
    assert names <= set(header.replace(";", " ").split())


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(before + START + table() + END + rest.split(END)[1], encoding="utf-8")

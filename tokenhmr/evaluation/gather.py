"""Weights, pictures, bodies and regressors for a protocol, each file with its hash; what is missing is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tokenhmr.body import Body, load_body, read_joint_regressor
from tokenhmr.body.files import OPEN_BODY
from tokenhmr.body.load import OPEN
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.readers.members import Members
from tokenhmr.data.sources import Source, find_shards, parse_data_list, read_data_list
from tokenhmr.evaluation.assets import check, find_asset, hashes_of, missing, sha256
from tokenhmr.evaluation.joint_sets import REGRESSORS
from tokenhmr.evaluation.protocol import Material, Settings
from tokenhmr.models.flip_test import FlipTest
from tokenhmr.models.pretrained import load
from tokenhmr.resources import data_list_path

DATA, MEMBERS = "data", "members"  # assets that the list of data names
GENDERED = ("male", "female")
# Files that a reader reads beside the one that a list names.
_BESIDE = {"_data.json": ("_camera.json", "_joint_3d.json", "_smpl_param.json"), "MuCo-3DHP.json": ("smpl_param.json",)}


def gather_pictures(
    settings: Settings,
    *,
    data_list: str,  # these as the protocol says, unless the settings say otherwise
    body: str,
    boxes: str | None = None,  # None: as the list says
    genders: Sequence[str] = (),  # bodies of the truth beside that of the model
    regressor: str | None = None,
    assets: Mapping[str, str | None],
) -> Material:
    """Everything that a protocol on pictures needs. Raises ``ValueError`` or ``FileNotFoundError``."""
    listed, kind = settings.data_list or data_list, settings.body or body
    if settings.data_root is None:
        wanted = "; ".join(
            f"{', '.join(map(str, one.shards))}, from {one.origin}" for one in parse_data_list(data_list_path(listed))
        )
        raise ValueError(f"no pictures: data_root=FOLDER names the folder that holds {wanted}")
    root, folder = Path(settings.data_root), Path(settings.body_folder)
    mine = {name: wanted for name, wanted in assets.items() if name not in (DATA, MEMBERS)}
    if settings.body is not None:
        mine.pop(body, None)
    hashes = hashes_of(mine, folder)
    # Readers that make joints of parameters load the body themselves: they are told its file.
    file = kind if kind == OPEN or Path(kind).is_file() else str(find_asset(kind, folder, expected=None))
    sources = read_sources(listed, root=root, body=file, boxes=boxes, expected=assets.get(DATA))
    hashes |= data_hashes(sources, expected=assets)
    if kind not in hashes:
        hashes["body"] = sha256([OPEN_BODY if kind == OPEN else Path(file)])
    spoken = load_body(kind, folder=folder).to(settings.device)
    bodies = {"neutral": spoken} | {g: load_body(f"{kind}_{g}", folder=folder).to(settings.device) for g in genders}
    pictures = partial(held_out_batches, sources=sources, batch_size=settings.batch_size, workers=settings.workers)
    model = load(settings.weights, body=spoken)
    return Material(
        model=(FlipTest(model) if settings.flip_test else model).to(settings.device),
        batches=pictures(rank=settings.rank, world=settings.world),
        body=spoken,
        device=settings.device,
        name=f"{listed} with weights {settings.weights}" + ", flip test" * settings.flip_test,
        bodies=bodies,
        regressors={} if regressor is None else _matrices(regressor, spoken, folder),
        used={"sources": [how_read(source) for source in parse_data_list(data_list_path(listed))], "body": spoken.kind,
              "assets": hashes},
        one_by_one=settings.one_by_one,
        again=pictures,
        reporting=settings.reporting,
    )  # fmt: skip


def read_sources(name: str, *, root: Path, body: str, boxes: str | None, expected: str | None) -> tuple[Source, ...]:
    """The sources of a list with a rule for boxes; ``FileNotFoundError`` names a file that is not there and where it is had."""
    path = data_list_path(name)
    for source in parse_data_list(path):
        for pattern in map(str, source.shards):
            try:
                find_shards(pattern, root=root)
            except FileNotFoundError as reason:
                raise missing(pattern, root / pattern, origin=source.origin, expected=expected) from reason
        if not (root / source.pictures).is_dir():
            raise missing(f"the folder {source.pictures}", root / source.pictures, origin=source.origin, expected=None)
    sources = read_data_list(path, root=root, body=body)
    return sources if boxes is None else tuple(replace(source, boxes=boxes) for source in sources)


def how_read(source: Source) -> dict[str, Any]:
    """What of a source decides which people are measured and what is known of them: format, options, rule for boxes."""
    options: Any = asdict(source.reader)  # pyright: ignore[reportArgumentType]  (readers are dataclasses)
    return {"format": type(source.reader).__name__, "options": options, "boxes": source.boxes, "without": list(source.without)}


def data_hashes(sources: Sequence[Source], *, expected: Mapping[str, str | None]) -> dict[str, str]:
    """Of the annotation, all files of it in one hash, and of the lists of members where a subset is measured.

    Pictures that lie beside an annotation are not read for it: three sets have tens of gigabytes of them. What comes from afar
    has no hash.
    """
    files = [path for source in sources for shard in source.shards if isinstance(shard, Path) for path in _with_beside(shard)]
    found = {DATA: check("the annotation", sha256(files), expected.get(DATA))} if files else {}
    said = {getattr(source.reader, MEMBERS, None) for source in sources} - {None}
    for name in said:
        found[MEMBERS] = check(f"the list of members {name}", Members.of(str(name)).digest, expected.get(MEMBERS))
    return found


def _with_beside(path: Path) -> list[Path]:
    ends = next((others for end, others in _BESIDE.items() if path.name.endswith(end)), ())
    start = next((path.name.removesuffix(end) for end in _BESIDE if path.name.endswith(end)), "")
    return [path, *(other for other in (path.with_name(start + end) for end in ends) if other.is_file())]


def _matrices(regressor: str, body: Body, folder: Path) -> dict[str, torch.Tensor]:
    if regressor == "mesh24":
        return {regressor: body.joint_regressor.cpu()}
    names, file = REGRESSORS[regressor]
    if file is None:
        return {}
    path = find_asset(file, folder, expected=None)
    return {regressor: torch.from_numpy(read_joint_regressor(path, rows=len(names), vertices=body.vertex_count))}

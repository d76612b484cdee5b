"""The pictures of docs/demo.md, made anew by the commands that stand beside them there.

python benchmarks/demo_pages.py                       all of them; or the names of some
python benchmarks/demo_pages.py files --three node_modules/three

Some need what is not everywhere: ``viewer``, ``files``, ``habits`` Chromium, ``files`` also the npm package three, ``renderer``
PyTorch3D, ``onnx`` the extra [onnx]. Pictures of what is missing stay as they are, and it is said.
"""

import argparse
import functools
import html
import http.server
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tokenhmr.camera import CROP_FOCAL, CROP_SIDE  # noqa: E402
from tokenhmr.demo.view import HOST  # noqa: E402
from tokenhmr.render import contact_sheet, draw_points, overlay, save_picture, side_view  # noqa: E402
from tokenhmr.render.picture import PAPER  # noqa: E402

CLIP_FRAMES, SHOWN = 90, (10, 38, 54, 80)
CELL = (320, 240)
BOXES = "--boxes clip/boxes.json"
CAMERA = "--camera clip/cam.json"


class Missing(Exception):
    """What a picture needs is not here."""


def demo(work: Path, command: str) -> None:
    """``tokenhmr demo ...`` as it is printed in the page."""
    done = subprocess.run(
        [sys.executable, "-m", "tokenhmr.demo", *command.split()], cwd=work, capture_output=True, text=True, check=False
    )
    sys.stdout.write(f"tokenhmr demo {command}\n{done.stdout}{done.stderr}")
    if done.returncode:
        raise Missing(done.stderr.strip())


def browser(work: Path, size: tuple[int, int]) -> Any:
    """That of the tests, which need pytest."""
    from tests.chromium import Chromium

    return Chromium(work / "profile", size=size)


def picture(path: Path) -> np.ndarray:
    """RGB."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def frames_of(video: Path) -> list[np.ndarray]:
    """Those of ``SHOWN``, RGB."""
    reader, found = cv2.VideoCapture(str(video)), []
    for number in range(CLIP_FRAMES):
        whole, image = reader.read()
        if whole and number in SHOWN:
            found.append(image[..., ::-1])
    return found


def row(*images: np.ndarray, columns: int | None = None, cell: tuple[int, int] = CELL) -> np.ndarray:
    return contact_sheet(images, columns=columns or len(images), cell=cell)


def samples(work: Path) -> dict[str, np.ndarray]:
    demo(work, "--out samples")
    folder = work / "samples" / "synthetic_1"
    return {"overlay": picture(folder / "overlay.png"), "side": picture(folder / "side.png")}


def boxes(work: Path) -> dict[str, np.ndarray]:
    demo(work, f"clip/crossing.png {BOXES} {CAMERA} --out boxes")
    image = picture(work / "clip" / "crossing.png").copy()
    with np.load(work / "boxes" / "crossing" / "people.npz") as people:
        for left, top, right, bottom in np.round(people["box"]).astype(int).tolist():
            cv2.rectangle(image, (left, top), (right, bottom), (255, 255, 255), 2)
    made = [picture(work / "boxes" / "crossing" / name) for name in ("overlay.png", "side.png")]
    return {"boxes": row(image, *made)}


def clip(work: Path) -> dict[str, np.ndarray]:
    demo(work, f"clip/clip.mp4 {BOXES} {CAMERA} --save video,viewer,glb --out clips")
    made = [*frames_of(work / "clip" / "clip.mp4"), *frames_of(work / "clips" / "clip" / "overlay.mp4")]
    return {"clip": row(*made, columns=len(SHOWN))}


def camera(work: Path) -> dict[str, np.ndarray]:
    """From the side, with the true depths: as the camera is known, and as it is assumed."""
    views = []
    for name, option in (("known", CAMERA), ("assumed", "")):
        demo(work, f"clip/crossing.png {BOXES} {option} --save npz --out {name}")
        with np.load(work / name / "crossing" / "people.npz") as people:
            view = side_view(list(people["vertices"]), people["faces"], width=480, height=240)
            depths = ", ".join(f"{depth:.1f} m" for depth in people["translation"][:, 2])
        cv2.putText(view, f"{name}: {depths}", (10, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
        views.append(view)
    return {"camera": row(*views, cell=(480, 240))}


def refine(work: Path) -> dict[str, np.ndarray]:
    demo(work, f"clip/crossing.png {BOXES} {CAMERA} --save overlay --out as_seen")
    demo(work, f"clip/crossing.png --refine clip/joints.json {CAMERA} --save overlay --out refined")
    image = picture(work / "clip" / "crossing.png")
    for person in read_joints(work / "clip" / "joints.json"):
        image = draw_points(image, person, radius=3, colour=(255, 240, 90))
    return {"refine": row(image, *(picture(work / name / "crossing" / "overlay.png") for name in ("as_seen", "refined")))}


def read_joints(path: Path) -> list[np.ndarray]:
    from tokenhmr.demo.keypoints import read_keypoints

    ((people,),) = read_keypoints(path).frames.values()
    return [person[person[:, 2] > 0, :2] for person in people]


def private(work: Path) -> dict[str, np.ndarray]:
    demo(work, f"clip/crossing.png {BOXES} {CAMERA} --no-pictures --save overlay --out private")
    return {"private": row(picture(work / "clip" / "crossing.png"), picture(work / "private" / "crossing" / "overlay.png"))}


def renderer(work: Path) -> dict[str, np.ndarray]:
    """The same overlay twice, and where they differ."""
    made = []
    for name in ("numba", "pytorch3d"):
        demo(work, f"clip/crossing.png {BOXES} {CAMERA} --save overlay --renderer {name} --out by_{name}")
        made.append(picture(work / f"by_{name}" / "crossing" / "overlay.png"))
    differ = np.abs(made[0].astype(int) - made[1]).max(axis=2) > 0
    sys.stdout.write(f"{differ.mean():.4%} of the pixels differ\n")
    return {"renderer": row(*made, np.where(differ[..., None], (200, 30, 30), PAPER).astype(np.uint8))}


def onnx(work: Path) -> dict[str, np.ndarray]:
    """What run.py leaves, drawn into the crop that it looked at."""
    sample = ROOT / "tokenhmr" / "assets" / "samples" / "synthetic_1.jpg"
    side = picture(sample).shape[0]
    box = ("0", "0", str(side), str(side))
    commands = [["-m", "tokenhmr.convert", "onnx", "--out", "model.onnx"], ["run.py", "model.onnx", str(sample), *box]]
    for command in commands:
        done = subprocess.run([sys.executable, *command], cwd=work, capture_output=True, text=True, check=False)
        sys.stdout.write(f"python {' '.join(command)}\n{done.stdout}{done.stderr}")
        if done.returncode:
            raise Missing(done.stderr.strip().splitlines()[-1])
    from tokenhmr.body import load_body

    zoom, middle = CROP_SIDE / (side * 4 / 3), (CROP_SIDE / 2, CROP_SIDE / 2)  # run.py widens the box to 3:4
    move = np.array([[zoom, 0, middle[0] - zoom * side / 2], [0, zoom, middle[1] - zoom * side / 2]])
    crop = cv2.warpAffine(picture(sample), move, (CROP_SIDE, CROP_SIDE))
    with np.load(work / "body.npz") as body:
        scale, across, down = body["camera"][0]
        placed = body["vertices"][0] + np.array([across, down, 2 * CROP_FOCAL / scale], dtype=np.float32)
    drawn = overlay(crop, [placed], load_body().faces.numpy(), focal=CROP_FOCAL * CROP_SIDE, center=middle)
    return {"onnx": row(crop, drawn, cell=(256, 256))}


def viewer(work: Path) -> dict[str, np.ndarray]:
    if not (work / "clips").exists():
        clip(work)
    with browser(work, (1100, 560)) as page:
        page.open((work / "clips" / "clip" / "viewer.html").as_uri())
        page.until("document.body?.dataset.ready !== undefined")
        page.run(f"tokenhmr.state.row = {SHOWN[2]}; tokenhmr.show()")
        page.until(f"tokenhmr.picture({SHOWN[2]})?.ready === true")
        page.key("s", code="KeyS")
        page.drag("#scene", (120, 30))
        return {"viewer": page.screenshot()}


def files(work: Path, three: Path | None) -> dict[str, np.ndarray]:
    """people.glb as three.js shows it, at the times of ``SHOWN``."""
    if three is None or not (three / "build" / "three.module.js").is_file():
        raise Missing("--three names the folder of the npm package three (npm install three)")
    if not (work / "clips").exists():
        clip(work)
    folder = work / "clips" / "clip"
    (folder / "three").symlink_to(three.resolve())
    (folder / "index.html").write_text((ROOT / "benchmarks" / "demo_three.html").read_text())
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server, browser(work, CELL) as page:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.open(f"http://{HOST}:{server.server_port}/")
        page.until("window.show !== undefined", seconds=60)
        shots = []
        for number in SHOWN:
            page.run(f"show({number * 1001 / 30000})")
            shots.append(page.screenshot())
        server.shutdown()
    return {"files": row(*shots)}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def habits(work: Path) -> dict[str, np.ndarray]:
    """What a run with a bad input says, its repetition for scripts, and the doctor: as a terminal shows it."""
    (work / "empty.jpg").write_bytes(b"")
    ask = f"demo clip/crossing.png empty.jpg {BOXES} --out said"
    shown = []
    for command in (ask, f"{ask} --json", "doctor empty.jpg clip/clip.mp4"):
        done = subprocess.run(
            [sys.executable, "-m", "tokenhmr", *command.split()],
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        shown.append(f"$ tokenhmr {command}\n{done.stdout}".replace(str(work.resolve()), "~").replace(str(ROOT), "~/tokenhmr"))
    text = "\n".join(shown)
    sys.stdout.write(text)
    (work / "terminal.html").write_text(
        "<!doctype html><meta charset='utf-8'><body style='margin: 0; background: #16181c'>"
        "<pre style='margin: 0; padding: 12px; color: #d8dce2; font: 13px/18px monospace; white-space: pre-wrap'>"
        f"{html.escape(text)}</pre>"
    )
    wide = 1100
    with browser(work, (wide, 400)) as page:
        page.open((work / "terminal.html").as_uri())
        page.until("document.querySelector('pre') !== null")
        high = round(page.run("document.querySelector('pre').getBoundingClientRect().height"))
        page.call("Emulation.setDeviceMetricsOverride", width=wide, height=high, deviceScaleFactor=1, mobile=False)
        return {"habits": page.screenshot()}


def pages(three: Path | None) -> dict[str, Callable[[Path], dict[str, np.ndarray]]]:
    by_three = functools.partial(files, three=three)
    return {
        "samples": samples, "boxes": boxes, "clip": clip, "camera": camera, "files": by_three, "viewer": viewer,
        "refine": refine, "onnx": onnx, "renderer": renderer, "habits": habits, "private": private,
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", help=f"of {', '.join(pages(None))} (default: all)")
    options.add_argument("--three", type=Path, metavar="DIR", help="the npm package three")
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    given = options.parse_args()
    known = pages(given.three)
    if unknown := set(given.names) - set(known):
        options.error(f"no picture called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "run.py").write_bytes((ROOT / "tokenhmr" / "assets" / "onnx" / "run.py.txt").read_bytes())
        maker = [sys.executable, str(ROOT / "benchmarks" / "demo_clip.py"), "clip", "--frames", str(CLIP_FRAMES)]
        subprocess.run(maker, cwd=work, check=True)
        for page in given.names or known:
            try:
                made = known[page](work)
            except Missing as missing:
                sys.stdout.write(f"{page} is left as it is: {missing}\n")
                continue
            for title, image in made.items():
                save_picture(given.out / f"demo_{title}.jpg", image)


if __name__ == "__main__":
    main()

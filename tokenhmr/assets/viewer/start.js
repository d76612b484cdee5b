// The eye, the hands and the beginning.

const FAR = 6; // metres: who moves farther than that, in depth above all, would be a speck in a view of all frames

function rootAt(person, row) {
  const at = person.rowOf.get(row), stride = scene.parents.length * 4 + 3;
  return at === undefined ? [] : [[0, 1, 2].map((k) => person.joints[k] + person.poses[at * stride + stride - 3 + k])];
}

function spread(places) {
  const low = [0, 1, 2].map((k) => Math.min(...places.map((p) => p[k]))), high = [0, 1, 2].map((k) => Math.max(...places.map((p) => p[k])));
  return { middle: low.map((value, k) => (value + high[k]) / 2), reach: Math.max(...high.map((value, k) => (value - low[k]) / 2)) };
}

// The eye stands so far away that some people fill the pane: in all frames, or, where they move too far, in this one,
// and then it goes along with them. (Under an assumed lens depth is a guess that changes by metres from frame to frame.)
function lookAt(chosen) {
  const people = chosen.map((index) => scene.people[index]);
  const all = people.flatMap((person) => person.rows.flatMap((row) => rootAt(person, row)));
  let { middle, reach } = spread(all.length ? all : [[0, 0, 3]]);
  state.followed = reach > FAR ? people : [];
  state.anchor = null;
  if (state.followed.length) {
    const now = people.flatMap((person) => rootAt(person, state.row));
    ({ middle, reach } = spread(now.length ? now : [all[0]]));
    state.anchor = middle;
  }
  state.eye = { yaw: 0.35, pitch: 0.12, distance: 2.3 * (Math.min(reach, FAR) + 1.05), target: [...middle] };
  show();
}

function follow() {
  const now = (state.followed ?? []).flatMap((person) => rootAt(person, state.row));
  if (!now.length) return;
  const { middle } = spread(now);
  for (let k = 0; k < 3; k++) state.eye.target[k] += middle[k] - state.anchor[k];
  state.anchor = middle;
}

function front() {
  lookAt(scene.people.map((_, index) => index));
  Object.assign(state.eye, { yaw: 0, pitch: 0 });
  show();
}

function turn(yaw, pitch) {
  state.eye.yaw += yaw;
  state.eye.pitch = Math.max(-1.5, Math.min(1.5, state.eye.pitch + pitch));
  show();
}

function nearer(factor) {
  state.eye.distance = Math.max(0.3, Math.min(500, state.eye.distance * factor));
  show();
}

function shift(x, y) {
  const { right, down } = around(state.eye), scale = state.eye.distance / element("orbit").clientHeight;
  for (let k = 0; k < 3; k++) state.eye.target[k] -= scale * (x * right[k] + y * down[k]);
  show();
}

function hands() {
  const pane = element("orbit"), fingers = new Map();
  pane.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); pane.setPointerCapture(event.pointerId); });
  for (const end of ["pointerup", "pointercancel"]) pane.addEventListener(end, (event) => fingers.delete(event.pointerId));
  pane.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (fingers.size === 2) {
      const [other] = [...fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
      const span = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY) || 1;
      nearer(span(before) / span(event));
      shift(x / 2, y / 2);
    } else if (event.buttons === 2 || event.shiftKey) shift(x, y);
    else turn(0.008 * x, 0.008 * y);
    fingers.set(event.pointerId, event);
  });
  pane.addEventListener("wheel", (event) => { event.preventDefault(); nearer(Math.exp(0.0015 * event.deltaY)); }, { passive: false });
  pane.addEventListener("contextmenu", (event) => event.preventDefault());
  element("frame").addEventListener("input", () => go(Number(element("frame").value)));
  element("play").addEventListener("click", play);
  element("home").addEventListener("click", front);
  element("opacity").addEventListener("input", () => { state.opacity = Number(element("opacity").value); show(); });
  element("speed").addEventListener("change", () => { state.speed = Number(element("speed").value); });
  for (const button of document.querySelectorAll("[data-toggle]")) button.addEventListener("click", () => toggle(button.dataset.toggle));
  new ResizeObserver(show).observe(element("stage"));
}

const KEYS = {
  " ": play, Home: () => go(0), End: () => go(scene.frames.length - 1),
  ArrowLeft: (event) => go(state.row - (event.shiftKey ? 10 : 1)), ArrowRight: (event) => go(state.row + (event.shiftKey ? 10 : 1)),
  a: () => turn(-0.15, 0), d: () => turn(0.15, 0), w: () => turn(0, -0.15), x: () => turn(0, 0.15),
  "+": () => nearer(1 / 1.15), "=": () => nearer(1 / 1.15), "-": () => nearer(1.15), f: front,
  o: () => toggle("overlay"), m: () => toggle("mesh"), s: () => toggle("skeleton"), j: () => toggle("names"), c: () => toggle("confidence"),
};

function keyboard() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    // A focused button hears its own space bar; sliders hear their own arrows.
    if (event.key === " " && ["BUTTON", "SUMMARY"].includes(event.target.tagName)) return;
    if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^[1-9]$/.test(key)) return toggleWho(Number(key) - 1);
    if (!KEYS[key]) return;
    event.preventDefault();
    KEYS[key](event);
  });
}

async function start() {
  const array = arraysOf(await unpacked(element("arrays").textContent));
  const shape = { faces: array(scene.faces), joints: array(scene.slots), weights: array(scene.weights), vertexCount: scene.vertexCount };
  for (const person of scene.people) {
    for (const name of ["vertices", "joints", "poses", "confidence"]) if (person[name]) person[name] = array(person[name]);
    person.rowOf = new Map(person.rows.map((row, at) => [row, at]));
    person.css = `rgb(${person.colour.map((c) => Math.round(255 * c)).join(" ")})`;
  }
  lookAt(scene.people.map((_, index) => index));
  drawing = new Drawing(element("bodies"), shape, scene.people);
  drawing.ground([state.eye.target[0], state.eye.target[2]], scene.floor, Math.ceil(state.eye.distance));
  const confident = document.querySelector('[data-toggle="confidence"]');
  confident.disabled = !scene.people.some((person) => person.confidence);
  if (confident.disabled) confident.title = "these weights come without a calibrated confidence";
  element("frame").max = scene.frames.length - 1;
  element("player").style.display = scene.frames.length < 2 ? "none" : "";
  list();
  hands();
  keyboard();
  show();
}

// For whoever looks at the page from a program.
window.tokenhmr = { state, scene, show, picture: imageOf };
start().then(
  () => { document.body.dataset.ready = "yes"; },
  (error) => {
    document.body.dataset.ready = "no";
    element("failure").hidden = false;
    element("failure").textContent = `The bodies cannot be shown. ${error.message}`;
  },
);

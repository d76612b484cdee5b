// State, controls and the frame that is on show. Everything on the page is decided here.

const element = (id) => document.getElementById(id);
const scene = JSON.parse(element("scene").textContent);
const state = {
  row: 0, playing: false, speed: 1, overlay: true, mesh: true, skeleton: false, names: false, confidence: false, opacity: 0.85,
  hidden: new Set(), eye: null, drawn: 0,
};
let drawing = null;
const images = new Map();

async function unpacked(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function arraysOf(buffer) {
  const kinds = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };
  return ([kind, offset, count]) => new kinds[kind](buffer, offset, count);
}

// ---- pictures -------------------------------------------------------------------------------------------------------

const pictureLines = element("pictures").textContent.trim().split("\n").filter(Boolean);

function imageOf(row) {
  if (!pictureLines.length) return null;
  if (!images.has(row)) {
    const image = new Image();
    image.src = `data:image/webp;base64,${pictureLines[row]}`;
    image.decode().then(() => { image.ready = true; if (row === state.row) show(); }, () => { image.broken = true; });
    images.set(row, image);
    if (images.size > 40) images.delete(images.keys().next().value);
  }
  return images.get(row);
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function paneOf(id) {
  const ratio = window.devicePixelRatio, stage = element("stage").getBoundingClientRect(), box = element(id).getBoundingClientRect();
  return {
    x: Math.round((box.left - stage.left) * ratio), y: Math.round((box.top - stage.top) * ratio),
    width: Math.round(box.width * ratio), height: Math.round(box.height * ratio),
  };
}

function fitted(pane, [width, height]) {
  const grow = Math.min(pane.width / width, pane.height / height);
  const [w, h] = [Math.max(1, Math.round(width * grow)), Math.max(1, Math.round(height * grow))];
  return { x: pane.x + ((pane.width - w) >> 1), y: pane.y + ((pane.height - h) >> 1), width: w, height: h };
}

function peopleNow() {
  return scene.people
    .map((person, index) => ({ index, person, at: person.rowOf.get(state.row) }))
    .filter(({ index, at }) => at !== undefined && !state.hidden.has(index))
    .map((shown) => ({ ...shown, ...poseOf(shown.person, shown.at, scene.parents), sure: surenessOf(shown.person, shown.at) }));
}

function surenessOf(person, at) {
  return person.confidence ? person.confidence.subarray(24 * at, 24 * at + 24) : new Float32Array(24).fill(1);
}

function eyeClip(pane) {
  const { matrix, down, forward } = around(state.eye);
  const focal = 1.2 * Math.min(pane.width, pane.height);
  const lens = { focal: [focal, focal], center: [pane.width / 2, pane.height / 2] };
  const clip = multiply(pinhole(lens, [pane.width, pane.height], 0.02 * state.eye.distance, 50 * state.eye.distance), matrix);
  const lamp = [0, 1, 2].map((k) => -0.75 * forward[k] - 0.66 * down[k]);
  return { clip, lamp };
}

function sized(canvas) {
  const ratio = window.devicePixelRatio, box = element("stage").getBoundingClientRect();
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
}

function show() {
  if (!drawing) return;
  follow();
  const frame = scene.frames[state.row], shown = peopleNow();
  sized(element("bodies"));
  sized(element("marks"));
  drawing.begin();
  const left = paneOf("picture"), right = paneOf("orbit"), inner = fitted(left, frame.size);
  const image = imageOf(state.row);
  drawing.within(inner);
  if (image?.ready) drawing.picture(image, state.row);
  const lens = pinhole(frame.camera, frame.size, 0.05, 1000);
  const look = { opacity: state.opacity, lamp: [0, -0.66, -0.75], bySureness: state.confidence };
  if (state.overlay && state.mesh) drawing.people(shown, lens, look);
  const eye = eyeClip(right);
  drawing.within(right);
  drawing.lines(eye.clip);
  if (state.mesh) drawing.people(shown, eye.clip, { ...look, opacity: state.skeleton ? 0.55 : 1, lamp: eye.lamp });
  mark(shown, state.overlay ? { pane: inner, clip: lens } : null, { pane: right, clip: eye.clip });
  tell(frame);
  state.drawn += 1;
}

// Bones and names are thin and must stay readable: drawn flat, above the bodies.
function mark(shown, ...views) {
  const ink = element("marks").getContext("2d"), ratio = window.devicePixelRatio;
  ink.clearRect(0, 0, ink.canvas.width, ink.canvas.height);
  for (const view of views.filter((view) => view && (state.skeleton || state.names))) {
    const { pane, clip } = view;
    ink.save();
    ink.beginPath();
    ink.rect(pane.x, pane.y, pane.width, pane.height);
    ink.clip();
    for (const { person, places } of shown) {
      const spots = places.map((place) => seenAt(clip, place)).map((spot) => spot && [pane.x + spot[0] * pane.width, pane.y + spot[1] * pane.height]);
      if (state.skeleton) bones(ink, spots, person, ratio);
      if (state.names) names(ink, spots, ratio);
    }
    ink.restore();
  }
}

function bones(ink, spots, person, ratio) {
  ink.lineWidth = 2 * ratio;
  ink.strokeStyle = ink.fillStyle = person.css;
  spots.forEach((spot, joint) => {
    const above = spots[scene.parents[joint]];
    if (!spot) return;
    ink.beginPath();
    if (above) { ink.moveTo(...above); ink.lineTo(...spot); ink.stroke(); }
    ink.beginPath();
    ink.arc(...spot, 3 * ratio, 0, 7);
    ink.fill();
  });
}

function names(ink, spots, ratio) {
  ink.font = `${11 * ratio}px system-ui, sans-serif`;
  ink.lineWidth = 3 * ratio;
  ink.strokeStyle = "#000b";
  ink.fillStyle = "#fff";
  spots.forEach((spot, joint) => {
    if (!spot) return;
    const place = [spot[0] + 5 * ratio, spot[1] - 4 * ratio], word = scene.joints[joint].replace("_", " ");
    ink.strokeText(word, ...place);
    ink.fillText(word, ...place);
  });
}

// ---- words and buttons ------------------------------------------------------------------------------------------------

function tell(frame) {
  element("frame").value = state.row;
  element("clock").textContent = scene.frames.length > 1 ? `${frame.time.toFixed(2)} s · ${state.row + 1} / ${scene.frames.length}` : "";
  element("play").textContent = state.playing ? "❚❚" : "▶";
  element("play").setAttribute("aria-label", state.playing ? "stop" : "play");
  for (const button of document.querySelectorAll("[data-toggle]")) button.setAttribute("aria-pressed", String(state[button.dataset.toggle]));
  [...element("people").children].forEach((line, index) => {
    line.classList.toggle("away", !scene.people[index].rowOf.has(state.row));
    line.querySelector("input").checked = !state.hidden.has(index);
  });
}

function toggle(name) {
  const button = document.querySelector(`[data-toggle="${name}"]`);
  if (button.disabled) return;
  state[name] = !state[name];
  show();
}

function toggleWho(index) {
  if (index >= scene.people.length) return;
  if (!state.hidden.delete(index)) state.hidden.add(index);
  show();
}

function go(row) {
  state.row = Math.max(0, Math.min(scene.frames.length - 1, Math.round(row)));
  show();
}

function play() {
  if (scene.frames.length < 2) return;
  state.playing = !state.playing;
  if (!state.playing) return show();
  if (state.row === scene.frames.length - 1) state.row = 0;
  let before = performance.now(), clock = scene.frames[state.row].time;
  const last = scene.frames[scene.frames.length - 1].time;
  const step = (now) => {
    if (!state.playing) return;
    clock += (state.speed * Math.min(now - before, 250)) / 1000;
    before = now;
    if (clock > last + 0.2) { clock = 0; state.row = 0; }
    // A frame's own time decides when it is seen, also where frames are not evenly spaced.
    while (state.row + 1 < scene.frames.length && scene.frames[state.row + 1].time <= clock) state.row += 1;
    for (let ahead = 1; ahead <= 5; ahead++) if (state.row + ahead < scene.frames.length) imageOf(state.row + ahead);
    show();
    requestAnimationFrame(step);
  };
  show();
  requestAnimationFrame(step);
}

function list() {
  scene.people.forEach((person, index) => {
    const line = document.createElement("li"), box = document.createElement("input"), swatch = document.createElement("span");
    const name = document.createElement("button");
    box.type = "checkbox";
    box.setAttribute("aria-label", `show ${person.name}`);
    box.addEventListener("change", () => toggleWho(index));
    swatch.className = "swatch";
    swatch.style.background = person.css;
    name.textContent = person.name;
    name.title = "look at this person";
    name.addEventListener("click", () => lookAt([index]));
    line.append(box, swatch, name);
    element("people").append(line);
  });
  for (const [key, word] of Object.entries(scene.about)) {
    const term = document.createElement("dt"), text = document.createElement("dd");
    [term.textContent, text.textContent] = [key, word];
    element("about").append(term, text);
  }
}

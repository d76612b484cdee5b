// A small reader of binary glTF 2.0, written from the specification and knowing nothing of what wrote the file: containers
// (4.4), accessors (3.6.2), nodes (3.5.3), linear and stepped animation (3.11, C.3), skins (3.7.3). It draws nothing.
// `read(bytes)` gives {facts, at(seconds)}; `at` gives vertices and joints of every skinned mesh, by its node's name.

const KINDS = {
  5120: Int8Array, 5121: Uint8Array, 5122: Int16Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array,
};
const WIDTHS = {SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT2: 4, MAT3: 9, MAT4: 16};

function containers(bytes) {
  const view = new DataView(bytes);
  if (view.getUint32(0, true) !== 0x46546c67) throw new Error("the magic word is not glTF");
  if (view.getUint32(4, true) !== 2) throw new Error("another version than 2");
  if (view.getUint32(8, true) !== bytes.byteLength) throw new Error("the file has another length than it says");
  const chunks = [];
  for (let at = 12; at < bytes.byteLength;) {
    const length = view.getUint32(at, true);
    if (length % 4) throw new Error("a chunk is not padded");
    chunks.push({kind: view.getUint32(at + 4, true), start: at + 8, length});
    at += 8 + length;
  }
  if (chunks[0].kind !== 0x4e4f534a || chunks[1].kind !== 0x004e4942) throw new Error("JSON, then BIN");
  const text = new TextDecoder("utf-8", {fatal: true}).decode(new Uint8Array(bytes, chunks[0].start, chunks[0].length));
  return {file: JSON.parse(text), binary: chunks[1]};
}

function elements(file, bytes, binary, index) {
  const accessor = file.accessors[index], view = file.bufferViews[accessor.bufferView];
  const kind = KINDS[accessor.componentType], width = WIDTHS[accessor.type];
  const stride = view.byteStride ?? kind.BYTES_PER_ELEMENT * width;
  const start = (view.byteOffset ?? 0) + (accessor.byteOffset ?? 0);
  const last = start + stride * (accessor.count - 1) + kind.BYTES_PER_ELEMENT * width;
  if (last > (view.byteOffset ?? 0) + view.byteLength || last > binary.length) throw new Error("past the end of a view");
  const rows = [];
  for (let row = 0; row < accessor.count; row++) {
    rows.push(Array.from(new kind(bytes, binary.start + start + stride * row, width)));
  }
  for (let part = 0; accessor.min && part < width; part++) {
    const column = rows.map((row) => row[part]);
    const least = column.reduce((a, b) => Math.min(a, b)), most = column.reduce((a, b) => Math.max(a, b));
    if (least !== Math.fround(accessor.min[part]) || most !== Math.fround(accessor.max[part])) throw new Error("wrong limits");
  }
  return rows;
}

// Matrices are arrays of sixteen, columns first.
const product = (a, b) => Array.from({length: 16}, (_, at) => {
  const row = at % 4, column = at - row;
  return a[row] * b[column] + a[row + 4] * b[column + 1] + a[row + 8] * b[column + 2] + a[row + 12] * b[column + 3];
});

function composed({translation: t, rotation: [x, y, z, w], scale: s}) {
  return [
    s[0] * (1 - 2 * (y * y + z * z)), s[0] * 2 * (x * y + z * w), s[0] * 2 * (x * z - y * w), 0,
    s[1] * 2 * (x * y - z * w), s[1] * (1 - 2 * (x * x + z * z)), s[1] * 2 * (y * z + x * w), 0,
    s[2] * 2 * (x * z + y * w), s[2] * 2 * (y * z - x * w), s[2] * (1 - 2 * (x * x + y * y)), 0,
    t[0], t[1], t[2], 1,
  ];
}

function slerp(a, b, share) {
  const dot = a.reduce((sum, value, part) => sum + value * b[part], 0);
  const angle = Math.acos(Math.min(1, Math.abs(dot))), sign = dot < 0 ? -1 : 1;
  if (angle < 1e-6) return a;
  const before = Math.sin((1 - share) * angle) / Math.sin(angle), after = sign * Math.sin(share * angle) / Math.sin(angle);
  return a.map((value, part) => before * value + after * b[part]);
}

function sampled({times, values, interpolation}, path, seconds) {
  let key = times.findLastIndex((time) => time <= seconds);
  if (key < 0) return values[0];
  if (interpolation === "STEP" || key === times.length - 1) return values[key];
  const share = (seconds - times[key]) / (times[key + 1] - times[key]);
  if (path === "rotation") return slerp(values[key], values[key + 1], share);
  return values[key].map((value, part) => value + share * (values[key + 1][part] - value));
}

function read(bytes) {
  const {file, binary} = containers(bytes);
  const array = (index) => elements(file, bytes, binary, index);
  const parents = new Array(file.nodes.length).fill(-1);
  file.nodes.forEach((node, index) => (node.children ?? []).forEach((child) => {
    if (parents[child] >= 0) throw new Error("a node has two parents");
    parents[child] = index;
  }));
  const channels = (file.animations ?? []).flatMap((animation) => animation.channels.map(({sampler, target}) => {
    const {input, output, interpolation = "LINEAR"} = animation.samplers[sampler];
    return {...target, sampler: {times: array(input).map(([time]) => time), values: array(output), interpolation}};
  }));
  const meshes = file.nodes.filter((node) => node.skin !== undefined).map((node) => {
    const skin = file.skins[node.skin], [{attributes, indices}] = file.meshes[node.mesh].primitives;
    const points = array(attributes.POSITION);
    if (array(indices).some(([corner]) => corner >= points.length)) throw new Error("a corner that is no vertex");
    const four = Object.keys(attributes).filter((name) => name.startsWith("JOINTS_")).map((name) => name.slice(7));
    return {
      name: node.name, joints: skin.joints, bound: array(skin.inverseBindMatrices), points,
      slots: four.map((part) => [array(attributes[`JOINTS_${part}`]), array(attributes[`WEIGHTS_${part}`])]),
    };
  });

  function at(seconds) {
    const local = file.nodes.map(({translation = [0, 0, 0], rotation = [0, 0, 0, 1], scale = [1, 1, 1]}) => (
      {translation, rotation, scale}
    ));
    for (const {node, path, sampler} of channels) local[node][path] = sampled(sampler, path, seconds);
    const whole = [];
    const place = (node) => whole[node] ??= (
      parents[node] < 0 ? composed(local[node]) : product(place(parents[node]), composed(local[node]))
    );
    return Object.fromEntries(meshes.map(({name, joints, bound, points, slots}) => {
      const moved = joints.map((joint, row) => product(place(joint), bound[row]));
      const vertices = points.map(([x, y, z], vertex) => {
        const sum = [0, 0, 0];
        for (const [which, weights] of slots) {
          which[vertex].forEach((joint, slot) => {
            const m = moved[joint], weight = weights[vertex][slot];
            for (let part = 0; part < 3; part++) {
              sum[part] += weight * (m[part] * x + m[part + 4] * y + m[part + 8] * z + m[part + 12]);
            }
          });
        }
        return sum;
      });
      return [name, {vertices, joints: joints.map((joint) => place(joint).slice(12, 15))}];
    }));
  }
  const times = [...new Set(channels.flatMap(({sampler}) => sampler.times))].sort((a, b) => a - b);
  return {facts: {meshes: meshes.map(({name}) => name), times}, at};
}

const answer = await fetch("people.glb");
window.gltf = read(await answer.arrayBuffer());

// Poses to bones. Camera axes: x right, y down, z forward; metres. Matrices are three rows of four, one after the other.

// Columns of one frame: a quaternion (x, y, z, w) for each joint, then the translation.
function rotationOf(numbers, at) {
  const x = numbers[at], y = numbers[at + 1], z = numbers[at + 2], w = numbers[at + 3];
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
    2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
    2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
  ];
}

function product(a, b) {
  const c = new Array(9);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++) c[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
  return c;
}

function turned(r, v) {
  return [0, 3, 6].map((i) => r[i] * v[0] + r[i + 1] * v[1] + r[i + 2] * v[2]);
}

// Linear blend skinning's bones (rest to posed space) and the posed joints of one row of a person.
function poseOf(person, row, parents) {
  const count = parents.length, stride = 4 * count + 3, start = row * stride;
  const bones = new Float32Array(12 * count), turns = [], places = [];
  for (let j = 0; j < count; j++) {
    const above = parents[j], rest = person.joints.subarray(3 * j, 3 * j + 3);
    const own = rotationOf(person.poses, start + 4 * j);
    if (above < 0) {
      turns.push(own);
      places.push([0, 1, 2].map((k) => rest[k] + person.poses[start + 4 * count + k]));
    } else {
      const bone = [0, 1, 2].map((k) => rest[k] - person.joints[3 * above + k]);
      const step = turned(turns[above], bone);
      turns.push(product(turns[above], own));
      places.push([0, 1, 2].map((k) => places[above][k] + step[k]));
    }
    const bound = turned(turns[j], rest);
    for (let k = 0; k < 3; k++) {
      bones.set(turns[j].slice(3 * k, 3 * k + 3), 12 * j + 4 * k);
      bones[12 * j + 4 * k + 3] = places[j][k] - bound[k];
    }
  }
  return { bones, places };
}

// Normals of the shape at rest, weighted by the area of the triangles around each vertex.
function normalsOf(vertices, faces) {
  const normals = new Float32Array(vertices.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const u = [0, 1, 2].map((k) => vertices[b + k] - vertices[a + k]);
    const v = [0, 1, 2].map((k) => vertices[c + k] - vertices[a + k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
  }
  for (let i = 0; i < normals.length; i += 3) {
    const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
    for (let k = 0; k < 3; k++) normals[i + k] /= length;
  }
  return normals;
}

// A pinhole camera as a matrix to clip space (columns first): pixels of a picture of width x height.
function pinhole({ focal, center }, [width, height], near, far) {
  const depth = (far + near) / (far - near), shift = (-2 * far * near) / (far - near);
  return new Float32Array([
    (2 * focal[0]) / width, 0, 0, 0,
    0, (-2 * focal[1]) / height, 0, 0,
    (2 * center[0]) / width - 1, 1 - (2 * center[1]) / height, depth, 1,
    0, 0, shift, 0,
  ]);
}

function multiply(a, b) {
  const c = new Float32Array(16);
  for (let i = 0; i < 4; i++)
    for (let j = 0; j < 4; j++) for (let k = 0; k < 4; k++) c[4 * j + i] += a[4 * k + i] * b[4 * j + k];
  return c;
}

// Where the eye is on its way around the people: angles in radians, distance in metres.
function around({ yaw, pitch, distance, target }) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  // Rows: right, down, forward of the eye in camera axes.
  const right = [cy, 0, -sy], forward = [sy * cp, sp, cy * cp];
  const down = [-sy * sp, cp, -cy * sp];
  const eye = target.map((t, k) => t - distance * forward[k]);
  const rows = [right, down, forward];
  const matrix = new Float32Array(16);
  rows.forEach((row, i) => {
    for (let k = 0; k < 3; k++) matrix[4 * k + i] = row[k];
    matrix[12 + i] = -(row[0] * eye[0] + row[1] * eye[1] + row[2] * eye[2]);
  });
  matrix[15] = 1;
  return { matrix, right, down, forward };
}

// To fractions of the viewport from its upper left corner; null for what is behind.
function seenAt(clip, [x, y, z]) {
  const [u, v, w] = [0, 1, 3].map((i) => clip[i] * x + clip[4 + i] * y + clip[8 + i] * z + clip[12 + i]);
  return w > 0.01 ? [0.5 + (0.5 * u) / w, 0.5 - (0.5 * v) / w] : null;
}

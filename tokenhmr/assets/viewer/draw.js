// Pixels of bodies, of the picture behind them and of the ground, by WebGL 2.

const BODY_VERTEX = `#version 300 es
layout(location = 0) in vec3 rest;
layout(location = 1) in vec3 normal;
layout(location = 2) in uvec4 joints0;
layout(location = 3) in vec4 weights0;
layout(location = 4) in uvec4 joints1;
layout(location = 5) in vec4 weights1;
uniform vec4 bones[72];
uniform float sure[24];
uniform mat4 clip;
uniform vec3 low, span;
invariant gl_Position;
out vec3 facing;
out float certainty;
void gather(uvec4 joints, vec4 weights, inout vec4 r0, inout vec4 r1, inout vec4 r2) {
  for (int s = 0; s < 4; s++) {
    int j = int(joints[s]);
    r0 += weights[s] * bones[3 * j]; r1 += weights[s] * bones[3 * j + 1]; r2 += weights[s] * bones[3 * j + 2];
    certainty += weights[s] * sure[j];
  }
}
void main() {
  vec4 r0 = vec4(0), r1 = vec4(0), r2 = vec4(0);
  certainty = 0.0;
  gather(joints0, weights0, r0, r1, r2);
  gather(joints1, weights1, r0, r1, r2);
  vec4 point = vec4(low + rest * span, 1);
  facing = vec3(dot(r0.xyz, normal), dot(r1.xyz, normal), dot(r2.xyz, normal));
  gl_Position = clip * vec4(dot(r0, point), dot(r1, point), dot(r2, point), 1);
}`;
const BODY_FRAGMENT = `#version 300 es
precision highp float;
in vec3 facing;
in float certainty;
uniform vec4 colour;
uniform vec3 lamp;
uniform bool bySureness;
out vec4 pixel;
// Blue through grey to orange: told apart also by people who see few colours.
vec3 scale(float s) {
  return s < 0.5 ? mix(vec3(0.90, 0.45, 0.10), vec3(0.80, 0.80, 0.78), 2.0 * s)
                 : mix(vec3(0.80, 0.80, 0.78), vec3(0.16, 0.44, 0.80), 2.0 * s - 1.0);
}
void main() {
  float bright = 0.42 + 0.58 * max(dot(normalize(facing), lamp), 0.0);
  vec3 paint = bySureness ? scale(clamp(certainty, 0.0, 1.0)) : colour.rgb;
  pixel = vec4(paint * bright, 1) * colour.a;
}`;
const FLAT_VERTEX = `#version 300 es
layout(location = 0) in vec3 place;
uniform mat4 clip;
out vec2 corner;
void main() { corner = place.xy; gl_Position = clip * vec4(place, 1); }`;
const PICTURE_FRAGMENT = `#version 300 es
precision highp float;
in vec2 corner;
uniform sampler2D picture;
out vec4 pixel;
void main() { pixel = vec4(texture(picture, corner).rgb, 1); }`;
const LINE_FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 colour;
out vec4 pixel;
void main() { pixel = colour * colour.a; }`;

const WHOLE_PANE = new Float32Array([2, 0, 0, 0, 0, -2, 0, 0, 0, 0, 1, 0, -1, 1, 0, 1]);

function compiled(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  const at = new Proxy({}, { get: (known, name) => (known[name] ??= gl.getUniformLocation(program, name)) });
  return { program, at };
}

function filled(gl, target, values) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(target, buffer);
  gl.bufferData(target, values, gl.STATIC_DRAW);
  return buffer;
}

class Drawing {
  constructor(canvas, shape, people) {
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This browser does not offer WebGL 2, which draws the bodies.");
    this.gl = gl;
    this.body = compiled(gl, BODY_VERTEX, BODY_FRAGMENT);
    this.flat = compiled(gl, FLAT_VERTEX, PICTURE_FRAGMENT);
    this.line = compiled(gl, FLAT_VERTEX, LINE_FRAGMENT);
    this.indexCount = shape.faces.length;
    this.shared = this.#slots(shape);
    this.bodies = people.map((person) => this.#bodyOf(person, shape));
    this.quad = this.#points(new Float32Array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0]));
    this.texture = gl.createTexture();
    this.pictured = null;
  }

  #slots(shape) {
    const gl = this.gl, many = shape.joints.length / shape.vertexCount;
    return {
      faces: filled(gl, gl.ELEMENT_ARRAY_BUFFER, shape.faces),
      wide: shape.faces.BYTES_PER_ELEMENT === 4 ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT,
      joints: filled(gl, gl.ARRAY_BUFFER, shape.joints),
      weights: filled(gl, gl.ARRAY_BUFFER, shape.weights),
      many,
    };
  }

  #bodyOf(person, shape) {
    const gl = this.gl, array = gl.createVertexArray(), { joints, weights, faces, many } = this.shared;
    gl.bindVertexArray(array);
    filled(gl, gl.ARRAY_BUFFER, person.vertices);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, 0, 0);
    const points = Float32Array.from(person.vertices, (v, i) => person.low[i % 3] + (v / 65535) * person.span[i % 3]);
    filled(gl, gl.ARRAY_BUFFER, normalsOf(points, shape.faces));
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 3, gl.FLOAT, false, 0, 0);
    for (let part = 0; part < many / 4; part++) {
      gl.bindBuffer(gl.ARRAY_BUFFER, joints);
      gl.enableVertexAttribArray(2 + 2 * part);
      gl.vertexAttribIPointer(2 + 2 * part, 4, gl.UNSIGNED_BYTE, many, 4 * part);
      gl.bindBuffer(gl.ARRAY_BUFFER, weights);
      gl.enableVertexAttribArray(3 + 2 * part);
      gl.vertexAttribPointer(3 + 2 * part, 4, gl.UNSIGNED_SHORT, true, 2 * many, 8 * part);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    gl.bindVertexArray(null);
    return array;
  }

  #points(values) {
    const gl = this.gl, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    filled(gl, gl.ARRAY_BUFFER, values);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    gl.bindVertexArray(null);
    return { array, count: values.length / 3 };
  }

  // A square of lines on the ground, y metres below the camera's height.
  ground([x, z], y, reach) {
    const lines = [];
    for (let i = -reach; i <= reach; i++) lines.push(x + i, y, z - reach, x + i, y, z + reach, x - reach, y, z + i, x + reach, y, z + i);
    this.floor = this.#points(new Float32Array(lines));
  }

  begin() {
    const gl = this.gl;
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0.09, 0.094, 0.11, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (!this.shared.wide) throw new Error("no faces");
    gl.vertexAttribI4ui(4, 0, 0, 0, 0);
    gl.vertexAttrib4f(5, 0, 0, 0, 0);
  }

  // x, y from the upper left corner of the canvas; all in device pixels.
  within({ x, y, width, height }, clipTo) {
    const gl = this.gl, top = gl.canvas.height, cut = clipTo ?? { x, y, width, height };
    gl.enable(gl.SCISSOR_TEST);
    gl.viewport(x, top - y - height, width, height);
    gl.scissor(cut.x, top - cut.y - cut.height, cut.width, cut.height);
  }

  picture(image, frame) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    if (this.pictured !== frame) {
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
      for (const [name, value] of [["MIN_FILTER", gl.LINEAR], ["MAG_FILTER", gl.LINEAR], ["WRAP_S", gl.CLAMP_TO_EDGE], ["WRAP_T", gl.CLAMP_TO_EDGE]])
        gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${name}`], value);
      this.pictured = frame;
    }
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(this.flat.program);
    gl.uniformMatrix4fv(this.flat.at.clip, false, WHOLE_PANE);
    gl.bindVertexArray(this.quad.array);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, this.quad.count);
  }

  lines(clip) {
    const gl = this.gl;
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(this.line.program);
    gl.uniformMatrix4fv(this.line.at.clip, false, clip);
    gl.uniform4f(this.line.at.colour, 0.55, 0.58, 0.62, 0.35);
    gl.bindVertexArray(this.floor.array);
    gl.drawArrays(gl.LINES, 0, this.floor.count);
  }

  // Depth of everyone first, then colour where it is the nearest: seen through, a body does not show its own back.
  people(shown, clip, { opacity, lamp, bySureness }) {
    const gl = this.gl, { program, at } = this.body;
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    gl.useProgram(program);
    gl.uniformMatrix4fv(at.clip, false, clip);
    gl.uniform3fv(at.lamp, lamp);
    gl.uniform1i(at.bySureness, bySureness ? 1 : 0);
    for (const colouring of [false, true]) {
      gl.colorMask(colouring, colouring, colouring, colouring);
      gl.depthFunc(colouring ? gl.LEQUAL : gl.LESS);
      for (const { index, person, bones, sure } of shown) {
        gl.uniform4fv(at.bones, bones);
        gl.uniform1fv(at.sure, sure);
        gl.uniform3fv(at.low, person.low);
        gl.uniform3fv(at.span, person.span);
        gl.uniform4f(at.colour, ...person.colour, opacity);
        gl.bindVertexArray(this.bodies[index]);
        gl.drawElements(gl.TRIANGLES, this.indexCount, this.shared.wide, 0);
      }
    }
    gl.depthFunc(gl.LESS);
    gl.bindVertexArray(null);
  }
}

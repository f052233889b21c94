// Points by WebGL: the programs that draw them, and a set of points with all that is known of each.

const LAST = 65534, ABSENT = 65535, GRID = 256;
const PALE = 1, LIT = 2, HIDDEN = 4;

const POINTS = `#version 300 es
layout(location = 0) in uvec2 place;
layout(location = 1) in uint code;
layout(location = 2) in uint flags;
uniform vec4 view;      // scale and shift of places to the screen
uniform float size;
uniform int turn;       // 0: pale ones, 1: the others, 2: those that are lit
uniform vec4 grey;
uniform float dim;
uniform vec4 but;       // left, bottom, right and top of what another set draws
uniform sampler2D palette;
out vec4 colour;
void main() {
  bool pale = (flags & 1u) != 0u, lit = (flags & 2u) != 0u, hidden = (flags & 4u) != 0u;
  bool mine = turn == 0 ? (pale || hidden) : turn == 1 ? !(pale || hidden || lit) : lit && !(pale || hidden);
  vec2 at = vec2(place);
  bool other = all(greaterThanEqual(at, but.xy)) && all(lessThan(at, but.zw));
  if (place.x == 65535u || !mine || other) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
  gl_Position = vec4(at * view.xy + view.zw, 0.0, 1.0);
  gl_PointSize = turn == 2 ? size + 1.5 : size;
  vec3 own = texelFetch(palette, ivec2(int(code), 0), 0).rgb;
  float strength = turn == 0 ? grey.a : turn == 1 ? dim : 1.0;
  colour = vec4((turn == 0 ? grey.rgb : own) * strength, strength);
}`;
const ROUND = `#version 300 es
precision highp float;
in vec4 colour;
uniform float size;
out vec4 drawn;
void main() {
  if (size > 3.0) {
    vec2 off = gl_PointCoord - 0.5;
    if (dot(off, off) > 0.25) discard;
  }
  drawn = colour;
}`;
const PLANE = `#version 300 es
const vec2 corners[4] = vec2[4](vec2(0.0, 0.0), vec2(1.0, 0.0), vec2(0.0, 1.0), vec2(1.0, 1.0));
uniform vec4 view;
out vec2 at;
void main() {
  at = corners[gl_VertexID];
  gl_Position = vec4(at * 65535.0 * view.xy + view.zw, 0.0, 1.0);
}`;
const CONTOURS = `#version 300 es
precision highp float;
in vec2 at;
uniform sampler2D ground;
uniform vec4 ink;
out vec4 drawn;
void main() {
  float level = texture(ground, at).r * 8.0;
  float line = abs(fract(level - 0.5) - 0.5) / max(fwidth(level), 1e-4);
  float strength = level < 0.4 ? 0.0 : (1.0 - smoothstep(0.6, 1.4, line)) * ink.a;
  drawn = vec4(ink.rgb * strength, strength);
}`;

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) ?? "no program");
  return { made, at: (name) => gl.getUniformLocation(made, name) };
}

function texture(gl, unit, filter) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  for (const way of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, way, filter);
  return made;
}

// Whether a rectangle, where there is one, holds a place.
function holds(box, [x, y]) {
  return box !== undefined && x >= box[0] && x < box[2] && y >= box[1] && y < box[3];
}

// The flags of points from one bit each that says whether they are grey, and one whether they are lit.
function flagsOf(n, pale, lit) {
  const flags = new Uint8Array(n);
  for (const [mask, bit] of [[pale, PALE], [lit, LIT]]) {
    if (mask) for (let i = 0; i < n; i++) if (mask[i >> 3] & (1 << (i & 7))) flags[i] |= bit;
  }
  return flags;
}

// Points that came whole, 6 bytes each: the places of all, then their colours, then their flags.
function unpacked(bytes) {
  const n = bytes.length / 6;
  return { place: new Uint16Array(bytes.buffer, bytes.byteOffset, 2 * n), codes: bytes.subarray(4 * n, 5 * n), flags: bytes.slice(5 * n) };
}

// Points by cells of a grid, so that the one nearest to the pointer is found among few.
function gridOf(place, n) {
  const shift = 8, starts = new Uint32Array(GRID * GRID + 1), rows = new Uint32Array(n);
  for (let i = 0; i < n; i++) if (place[2 * i] !== ABSENT) starts[((place[2 * i + 1] >> shift) << 8) + (place[2 * i] >> shift) + 1]++;
  for (let cell = 0; cell < GRID * GRID; cell++) starts[cell + 1] += starts[cell];
  const next = starts.slice();
  for (let i = 0; i < n; i++) if (place[2 * i] !== ABSENT) rows[next[((place[2 * i + 1] >> shift) << 8) + (place[2 * i] >> shift)]++] = i;
  return { starts, rows };
}

class PointSet {
  constructor(gl) {
    this.gl = gl;
    this.n = 0;
    this.array = gl.createVertexArray();
    this.buffers = { place: gl.createBuffer(), codes: gl.createBuffer(), flags: gl.createBuffer() };
    gl.bindVertexArray(this.array);
    for (const [at, name, size, kind] of [[0, "place", 2, gl.UNSIGNED_SHORT], [1, "codes", 1, gl.UNSIGNED_BYTE], [2, "flags", 1, gl.UNSIGNED_BYTE]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribIPointer(at, size, kind, 0, 0);
    }
  }

  // Take points in place of those that were: `make` gives {id, place, codes, flags}. The same key is the same points,
  // an empty one none. Groups that are hidden are flagged so.
  take(key, make, hidden) {
    if (key === this.key) return;
    this.key = key;
    this.any = { pale: hidden.size > 0, lit: false };
    if (!key) { this.n = 0; return; }
    Object.assign(this, make());
    this.n = this.codes.length;
    const off = new Uint8Array(256);
    for (const code of hidden) off[code] = HIDDEN;
    for (let i = 0; i < this.n; i++) {
      this.flags[i] |= off[this.codes[i]];
      if (this.flags[i] & LIT) this.any.lit = true;
      if (this.flags[i] & PALE) this.any.pale = true;
    }
    this.grid = undefined;
    for (const name of ["place", "codes", "flags"]) {
      this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[name]);
      this.gl.bufferData(this.gl.ARRAY_BUFFER, this[name], this.gl.DYNAMIC_DRAW);
    }
  }

  draw() {
    this.gl.bindVertexArray(this.array);
    this.gl.drawArrays(this.gl.POINTS, 0, this.n);
  }

  at(index) { return [this.place[2 * index], this.place[2 * index + 1]]; }

  // Points in cells that a rectangle touches, but for those that are grey or hidden.
  *within(left, bottom, right, top) {
    const cell = (value) => Math.max(0, Math.min(GRID - 1, Math.floor(value / 256)));
    this.grid ??= gridOf(this.place, this.n);
    for (let row = cell(bottom); row <= cell(top); row++) {
      for (let at = this.grid.starts[(row << 8) + cell(left)]; at < this.grid.starts[(row << 8) + cell(right) + 1]; at++) {
        const index = this.grid.rows[at];
        if (!(this.flags[index] & (PALE | HIDDEN))) yield index;
      }
    }
  }
}


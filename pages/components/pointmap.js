// A map of up to millions of points: WebGL draws them, the browser moves and zooms, the server says who is inside.
//
// `data` names the parts to draw (see pointpart.js) and holds what is written: {n, place, colour, pale, lit, ground,
// palette, legend: {title, names, counts, low, high}, axes: {x, y, bare, low, high}, labels: [[text, x, y]], tool,
// height, dark, said}. Places run from 0 to 65534, y upwards; 65535 is no place.
// A lasso sends its corners, a click the number of a point: never a list of points.

const LAST = 65534, ABSENT = 65535, GRID = 256;
const QUICK = 120_000; // points drawn while the map moves: a fair sample, as their order is random
const MOST_CORNERS = 120, NEAR = 9, REST_MS = 130;
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
uniform sampler2D palette;
out vec4 colour;
void main() {
  bool pale = (flags & 1u) != 0u, lit = (flags & 2u) != 0u, hidden = (flags & 4u) != 0u;
  bool mine = turn == 0 ? (pale || hidden) : turn == 1 ? !(pale || hidden || lit) : lit && !(pale || hidden);
  if (place.x == 65535u || !mine) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
  gl_Position = vec4(vec2(place) * view.xy + view.zw, 0.0, 1.0);
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

// Points by cells of a grid, so that the one nearest to the pointer is found among few.
function gridOf(place, n) {
  const shift = 8, starts = new Uint32Array(GRID * GRID + 1), rows = new Uint32Array(n);
  for (let i = 0; i < n; i++) if (place[2 * i] !== ABSENT) starts[((place[2 * i + 1] >> shift) << 8) + (place[2 * i] >> shift) + 1]++;
  for (let cell = 0; cell < GRID * GRID; cell++) starts[cell + 1] += starts[cell];
  const next = starts.slice();
  for (let i = 0; i < n; i++) if (place[2 * i] !== ABSENT) rows[next[((place[2 * i + 1] >> shift) << 8) + (place[2 * i] >> shift)]++] = i;
  return { starts, rows };
}

// A path of few corners: of points that lie nearly on a line the middle ones go, the least important first.
function simplified(path, most) {
  const corners = path.slice();
  while (corners.length > most) {
    let least = Infinity, at = 1;
    for (let i = 1; i < corners.length - 1; i++) {
      const [a, b, c] = [corners[i - 1], corners[i], corners[i + 1]];
      const area = Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]));
      if (area < least) [least, at] = [area, i];
    }
    corners.splice(at, 1);
  }
  return corners;
}

function steps(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(Math.abs(value) < step / 1e6 ? 0 : value);
  return [found, Math.max(0, Math.min(9, -Math.floor(Math.log10(step) + 1e-9)))];
}

class PointMap {
  constructor(root) {
    this.root = root;
    this.box = root.querySelector(".map");
    this.canvas = root.querySelector(".points");
    this.over = root.querySelector(".over");
    this.peek = root.querySelector(".peek");
    this.note = root.querySelector(".note");
    this.legend = root.querySelector(".legend");
    this.view = { x: 0.5, y: 0.5, zoom: 1 }; // middle of the window, a share of the map; how often it is magnified
    this.hidden = new Set();
    this.hovered = -1;
    this.gl = this.canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    this.listeners = new AbortController();
    this.listen();
    if (this.gl) this.prepare();
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.box);
  }

  prepare() {
    const gl = this.gl;
    this.points = program(gl, POINTS, ROUND);
    this.contours = program(gl, PLANE, CONTOURS);
    this.array = gl.createVertexArray();
    this.plane = gl.createVertexArray();
    this.buffers = { place: gl.createBuffer(), colour: gl.createBuffer(), flags: gl.createBuffer() };
    gl.bindVertexArray(this.array);
    for (const [at, name, size, kind] of [[0, "place", 2, gl.UNSIGNED_SHORT], [1, "colour", 1, gl.UNSIGNED_BYTE], [2, "flags", 1, gl.UNSIGNED_BYTE]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribIPointer(at, size, kind, 0, 0);
    }
    this.palette = texture(gl, 0, gl.NEAREST);
    this.ground = texture(gl, 1, gl.LINEAR);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.loaded = {};
    this.canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.loaded = {}; });
    this.canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.load(); });
  }

  listen() {
    const { signal } = this.listeners, on = (target, name, act) => target.addEventListener(name, act, { signal, passive: false });
    on(globalThis, "rrs-part", () => this.load());
    on(globalThis, "rrs-peek", (event) => this.showPeek(event.detail));
    on(this.box, "pointerdown", (event) => this.down(event));
    on(this.box, "pointermove", (event) => this.move(event));
    on(this.box, "pointerup", (event) => this.up(event));
    on(this.box, "pointercancel", () => this.drop());
    on(this.box, "pointerleave", () => this.rest(-1));
    on(this.box, "wheel", (event) => { event.preventDefault(); this.zoomAt(event, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015))); });
    on(this.box, "dblclick", () => this.reset());
    on(this.box, "keydown", (event) => this.key(event));
    on(this.legend, "click", (event) => this.toggle(event.target.closest("button")));
  }

  update(data, send) {
    this.send = send;
    const before = this.data;
    this.data = data;
    this.box.style.setProperty("--map-height", `${data.height}px`);
    this.box.dataset.tool = data.tool;
    this.box.setAttribute("aria-label", data.said);
    this.note.textContent = this.gl ? "" : "This browser draws no WebGL.";
    if (before && before.colour !== data.colour && `${before.legend.names}` !== `${data.legend.names}`) this.hidden.clear();
    if (before && before.place !== data.place) { this.view = { x: 0.5, y: 0.5, zoom: 1 }; this.rest(-1); }
    this.writeLegend();
    this.load();
    if (!this.gl && !this.told) { this.told = true; send("failed", "no WebGL 2"); }
  }

  part(id) { return id ? globalThis.rrsParts?.get(id) : undefined; }

  // Give the GPU what has come and what has changed.
  load() {
    const { gl, data } = this;
    if (!gl || !data || gl.isContextLost()) return;
    const place = this.part(data.place), colour = this.part(data.colour);
    if (!place || !colour || colour.length !== data.n || place.length !== 4 * data.n) return;
    if (this.loaded.place !== data.place) {
      this.place = new Uint16Array(place.buffer, place.byteOffset, 2 * data.n);
      this.grid = gridOf(this.place, data.n);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.place);
      gl.bufferData(gl.ARRAY_BUFFER, this.place, gl.STATIC_DRAW);
      this.loaded.place = data.place;
    }
    if (this.loaded.colour !== data.colour) {
      this.codes = colour;
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.colour);
      gl.bufferData(gl.ARRAY_BUFFER, colour, gl.STATIC_DRAW);
      this.loaded.colour = data.colour;
    }
    if (this.loaded.palette !== data.palette) {
      const table = Uint8Array.from(atob(data.palette), (one) => one.charCodeAt(0));
      gl.activeTexture(gl.TEXTURE0);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, table);
      this.loaded.palette = data.palette;
    }
    const ground = this.part(data.ground);
    if (ground && this.loaded.ground !== data.ground) {
      const side = Math.sqrt(ground.length);
      gl.activeTexture(gl.TEXTURE1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, side, side, 0, gl.RED, gl.UNSIGNED_BYTE, ground);
      this.loaded.ground = data.ground;
    }
    const flagged = [data.place, data.colour, data.pale && this.part(data.pale) && data.pale, data.lit && this.part(data.lit) && data.lit, ...this.hidden].join();
    if (this.loaded.flags !== flagged) {
      this.flag();
      this.loaded.flags = flagged;
    }
    this.box.dataset.ready = data.place;
    this.draw();
  }

  flag() {
    const { gl, data, codes } = this, flags = new Uint8Array(data.n);
    this.any = { pale: this.hidden.size > 0, lit: false };
    for (const [id, bit, name] of [[data.pale, PALE, "pale"], [data.lit, LIT, "lit"]]) {
      const mask = this.part(id);
      if (!mask) continue;
      this.any[name] = true;
      for (let i = 0; i < data.n; i++) if (mask[i >> 3] & (1 << (i & 7))) flags[i] |= bit;
    }
    if (this.hidden.size) {
      const off = new Uint8Array(256);
      for (const code of this.hidden) off[code] = HIDDEN;
      for (let i = 0; i < data.n; i++) flags[i] |= off[codes[i]];
    }
    this.flags = flags;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.flags);
    gl.bufferData(gl.ARRAY_BUFFER, flags, gl.DYNAMIC_DRAW);
  }

  resize() {
    const dense = Math.min(2, globalThis.devicePixelRatio || 1);
    this.width = this.box.clientWidth;
    this.height = this.box.clientHeight;
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.max(1, Math.round(this.width * dense));
      canvas.height = Math.max(1, Math.round(this.height * dense));
    }
    this.dense = dense;
    this.draw();
  }

  // Pixels of the window to places and back.
  toPlace(x, y) {
    const { view } = this;
    return [(view.x + (x / this.width - 0.5) / view.zoom) * LAST, (view.y - (y / this.height - 0.5) / view.zoom) * LAST];
  }

  toPixel(x, y) {
    const { view } = this;
    return [((x / LAST - view.x) * view.zoom + 0.5) * this.width, (0.5 - (y / LAST - view.y) * view.zoom) * this.height];
  }

  draw(moving = false) {
    if (this.wanted !== undefined) { this.moving &&= moving; return; }
    this.moving = moving;
    this.wanted = requestAnimationFrame(() => { this.wanted = undefined; this.paint(this.moving); });
    clearTimeout(this.later);
    if (moving) this.later = setTimeout(() => this.draw(), REST_MS);
  }

  paint(moving) {
    const { gl, data, view } = this;
    this.paintOver();
    if (!gl || !this.loaded?.flags || !this.width) return;
    const scale = (2 * view.zoom) / LAST;
    const window = [scale, scale, -2 * view.x * view.zoom, -2 * view.y * view.zoom];
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (data.ground && this.loaded.ground === data.ground) {
      gl.useProgram(this.contours.made);
      gl.bindVertexArray(this.plane);
      gl.uniform4fv(this.contours.at("view"), window);
      gl.uniform1i(this.contours.at("ground"), 1);
      gl.uniform4fv(this.contours.at("ink"), data.dark ? [0.75, 0.8, 0.86, 0.6] : [0.3, 0.36, 0.44, 0.5]);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
    const n = moving ? Math.min(data.n, QUICK) : data.n;
    const size = (data.n <= 2_000 ? 7 : data.n <= 20_000 ? 5 : data.n <= 200_000 ? 3.2 : 2) * this.dense * Math.min(2.5, view.zoom ** 0.25);
    const at = this.points.at;
    gl.useProgram(this.points.made);
    gl.bindVertexArray(this.array);
    gl.uniform4fv(at("view"), window);
    gl.uniform1f(at("size"), size);
    gl.uniform1i(at("palette"), 0);
    gl.uniform4fv(at("grey"), data.dark ? [0.5, 0.53, 0.57, 0.22] : [0.55, 0.58, 0.62, 0.22]);
    gl.uniform1f(at("dim"), this.any.lit ? 0.22 : 0.85);
    for (const [turn, there] of [[0, this.any.pale], [1, true], [2, this.any.lit]]) {
      if (!there) continue;
      gl.uniform1i(at("turn"), turn);
      gl.drawArrays(gl.POINTS, 0, n);
    }
    this.box.dataset.drawn = `${n}`;
  }

  // What lies above the points: axes, names, the lasso, a ring about the point under the pointer.
  paintOver() {
    const pen = this.over.getContext("2d"), { data } = this;
    pen.setTransform(this.dense || 1, 0, 0, this.dense || 1, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (!data) return;
    const style = getComputedStyle(this.box), ink = style.getPropertyValue("--st-text-color") || "#888";
    const ground = style.getPropertyValue("--st-background-color") || "#fff";
    const text = (words, x, y, align = "center") => {
      pen.textAlign = align;
      pen.lineWidth = 3;
      pen.strokeStyle = ground;
      pen.strokeText(words, x, y);
      pen.fillText(words, x, y);
    };
    pen.fillStyle = ink;
    pen.font = "12px sans-serif";
    this.paintAxes(pen, text);
    pen.font = "600 12px sans-serif";
    for (const [words, x, y] of data.labels) {
      const [px, py] = this.toPixel(x, y);
      if (px > 0 && px < this.width && py > 0 && py < this.height) text(words, px, py);
    }
    if (this.hovered >= 0 && this.place) {
      const [px, py] = this.toPixel(this.place[2 * this.hovered], this.place[2 * this.hovered + 1]);
      pen.strokeStyle = ink;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(px, py, 7, 0, 7);
      pen.stroke();
    }
    if (this.path?.length > 1) {
      pen.strokeStyle = style.getPropertyValue("--st-primary-color") || "#0072B2";
      pen.lineWidth = 2;
      pen.setLineDash([5, 4]);
      pen.beginPath();
      for (const [x, y] of this.path) pen.lineTo(...this.toPixel(x, y));
      pen.closePath();
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  paintAxes(pen, text) {
    const { axes } = this.data, [left, bottom] = this.toPlace(0, this.height), [right, top] = this.toPlace(this.width, 0);
    if (!axes.bare) {
      const value = (place, side) => axes.low[side] + (place / LAST) * (axes.high[side] - axes.low[side]);
      const place = (number, side) => ((number - axes.low[side]) / (axes.high[side] - axes.low[side])) * LAST;
      const pieces = axes.pieces.length ? axes.pieces : [[axes.low[0], axes.high[0], axes.low[0], axes.high[0]]];
      let free = 30; // where the next number may stand
      for (const [start, end, low, high] of pieces) {
        const [from, to] = [Math.max(start, value(left, 0)), Math.min(end, value(right, 0))];
        if (from >= to) continue;
        const [x0, x1] = [from, to].map((one) => this.toPixel(place(one, 0), 0)[0]);
        const [numbers, digits] = steps(low + from - start, low + to - start, Math.max(1, (x1 - x0) / 110));
        for (const number of x1 - x0 < 90 ? [(low + high) / 2] : numbers) {
          const x = this.toPixel(place(start + number - low, 0), 0)[0];
          if (x < free || x > this.width - 30) continue;
          text(number.toFixed(x1 - x0 < 90 ? 1 : digits), x, this.height - 22);
          free = x + 62;
        }
      }
      const [up, yDigits] = steps(value(bottom, 1), value(top, 1), Math.max(2, this.height / 70));
      for (const number of up) text(number.toFixed(yDigits), 6, this.toPixel(0, place(number, 1))[1] + 4, "left");
    }
    text(axes.x, this.width / 2, this.height - 7);
    pen.save();
    pen.translate(this.width - 8, this.height / 2);
    pen.rotate(-Math.PI / 2);
    text(axes.y, 0, 0);
    pen.restore();
  }

  writeLegend() {
    const { legend, palette } = this.data, key = JSON.stringify([legend, palette]);
    if (this.legendKey === key) return;
    this.legendKey = key;
    const table = atob(palette), colour = (code) => `rgb(${[0, 1, 2].map((i) => table.charCodeAt(3 * code + i)).join(" ")})`;
    const part = (name, words) => { const made = document.createElement(name); made.textContent = words; return made; };
    const title = part("span", legend.title);
    title.className = "title";
    const parts = [title];
    legend.names.forEach((name, code) => {
      const button = document.createElement("button"), swatch = document.createElement("i");
      button.type = "button";
      button.dataset.code = code;
      button.setAttribute("aria-pressed", `${!this.hidden.has(code)}`);
      swatch.style.background = colour(code);
      button.append(swatch, part("span", `${name} (${legend.counts[code]})`));
      parts.push(button);
    });
    if (!legend.names.length) {
      const ramp = document.createElement("span");
      ramp.className = "ramp";
      ramp.style.background = `linear-gradient(to right, ${[0, 50, 101, 152, 203, 254].map(colour).join(", ")})`;
      parts.push(part("span", legend.low), ramp, part("span", legend.high));
      if (legend.unknown) {
        const swatch = document.createElement("i");
        swatch.style.background = colour(255);
        parts.push(swatch, part("span", legend.unknown));
      }
    }
    this.legend.replaceChildren(...parts);
  }

  toggle(button) {
    if (!button) return;
    const code = Number(button.dataset.code);
    if (!this.hidden.delete(code)) this.hidden.add(code);
    button.setAttribute("aria-pressed", `${!this.hidden.has(code)}`);
    this.load();
  }

  // The pointer

  where(event) {
    const box = this.box.getBoundingClientRect();
    return [event.clientX - box.left - this.box.clientLeft, event.clientY - box.top - this.box.clientTop];
  }

  down(event) {
    if (event.button > 0) return;
    this.box.focus({ preventScroll: true });
    this.box.setPointerCapture(event.pointerId);
    (this.fingers ??= new Map()).set(event.pointerId, this.where(event));
    this.from = this.where(event);
    this.dragged = false;
    if (this.fingers.size > 1) { this.path = undefined; return; }
    if (this.data?.tool !== "pan") this.path = [this.toPlace(...this.from)];
  }

  move(event) {
    const at = this.where(event), held = this.fingers?.get(event.pointerId);
    if (!held) { this.hover(at); return; }
    if (Math.hypot(at[0] - this.from[0], at[1] - this.from[1]) > 4) this.dragged = true;
    if (this.fingers.size > 1) this.pinch(event.pointerId, at);
    else if (this.data.tool === "pan") this.pan(at[0] - held[0], at[1] - held[1]);
    else if (this.data.tool === "box") {
      const [x, y] = this.toPlace(...at), [x0, y0] = this.toPlace(...this.from);
      this.path = [[x0, y0], [x, y0], [x, y], [x0, y]];
      this.draw(true);
    } else if (this.path) {
      this.path.push(this.toPlace(...at));
      this.paintOver();
    }
    this.fingers.set(event.pointerId, at);
  }

  up(event) {
    if (!this.fingers?.delete(event.pointerId) || this.fingers.size) return;
    const path = this.path, how = event.shiftKey ? "add" : event.altKey ? "subtract" : "new";
    this.path = undefined;
    if (!this.dragged) this.pick(this.nearest(this.where(event)));
    else if (path?.length > 2) {
      const corners = simplified(path, MOST_CORNERS).map((one) => one.map((value) => Math.round(Math.max(-1, Math.min(ABSENT, value)))));
      this.send("lasso", { place: this.data.place, colour: this.data.colour, corners, how, hidden: [...this.hidden] });
    }
    this.draw();
  }

  drop() {
    this.fingers?.clear();
    this.path = undefined;
    this.draw();
  }

  pan(x, y) {
    this.view.x -= x / this.width / this.view.zoom;
    this.view.y += y / this.height / this.view.zoom;
    this.keep();
  }

  pinch(id, at) {
    const other = [...this.fingers].find(([one]) => one !== id)[1], held = this.fingers.get(id);
    const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    this.zoomTo((at[0] + other[0]) / 2, (at[1] + other[1]) / 2, apart(at, other) / apart(held, other));
  }

  zoomAt(event, factor) { this.zoomTo(...this.where(event), factor); }

  zoomTo(x, y, factor) {
    const before = this.toPlace(x, y);
    this.view.zoom = Math.max(1, Math.min(2000, this.view.zoom * factor));
    const after = this.toPlace(x, y);
    this.view.x += (before[0] - after[0]) / LAST;
    this.view.y += (before[1] - after[1]) / LAST;
    this.keep();
  }

  keep() {
    const half = 0.5 / this.view.zoom;
    for (const side of ["x", "y"]) this.view[side] = Math.max(Math.min(half, 0.5) - 0.02, Math.min(Math.max(1 - half, 0.5) + 0.02, this.view[side]));
    this.rest(-1);
    this.draw(true);
  }

  reset() {
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
    this.draw();
  }

  key(event) {
    const by = 40, act = {
      ArrowLeft: () => this.pan(by, 0), ArrowRight: () => this.pan(-by, 0), ArrowUp: () => this.pan(0, by), ArrowDown: () => this.pan(0, -by),
      "+": () => this.zoomTo(this.width / 2, this.height / 2, 1.4), "=": () => this.zoomTo(this.width / 2, this.height / 2, 1.4),
      "-": () => this.zoomTo(this.width / 2, this.height / 2, 1 / 1.4), 0: () => this.reset(),
      Escape: () => { this.drop(); this.send("cleared", true); },
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  nearest([x, y]) {
    if (!this.grid || !this.width) return -1;
    const [left, bottom] = this.toPlace(x - NEAR, y + NEAR), [right, top] = this.toPlace(x + NEAR, y - NEAR);
    const cell = (value) => Math.max(0, Math.min(GRID - 1, Math.floor(value / 256)));
    let best = NEAR * NEAR, found = -1;
    for (let row = cell(bottom); row <= cell(top); row++) {
      for (let at = this.grid.starts[(row << 8) + cell(left)]; at < this.grid.starts[(row << 8) + cell(right) + 1]; at++) {
        const i = this.grid.rows[at];
        if (this.flags[i] & (PALE | HIDDEN)) continue;
        const [px, py] = this.toPixel(this.place[2 * i], this.place[2 * i + 1]);
        const apart = (px - x) ** 2 + (py - y) ** 2;
        if (apart < best) [best, found] = [apart, i];
      }
    }
    return found;
  }

  hover(at) {
    const index = this.nearest(at);
    if (index === this.hovered) return;
    this.rest(index, at);
    if (index >= 0) this.asking = setTimeout(() => globalThis.rrsAskPeek?.(this.data.place, index), REST_MS);
  }

  rest(index, at) {
    clearTimeout(this.asking);
    this.hovered = index;
    this.paintOver();
    this.peek.style.display = index < 0 ? "none" : "block";
    if (index < 0) return;
    const { legend } = this.data, name = legend.names[this.codes[index]];
    this.peek.querySelector("canvas").hidden = true;
    this.peek.querySelector("p").textContent = name ? `${legend.title}: ${name}` : "";
    const left = at[0] + 14 + 272 > this.width ? Math.max(2, at[0] - 14 - 272) : at[0] + 14;
    this.peek.style.left = `${left}px`;
    this.peek.style.top = `${Math.max(2, Math.min(at[1] + 14, this.height - 160))}px`;
  }

  showPeek(picture) {
    if (picture.index !== this.hovered || picture.place !== this.data.place) return;
    const canvas = this.peek.querySelector("canvas");
    canvas.width = picture.columns;
    canvas.height = picture.rows;
    const image = new ImageData(picture.columns, picture.rows);
    picture.pixels.forEach((value, i) => image.data.set([picture.table[3 * value], picture.table[3 * value + 1], picture.table[3 * value + 2], 255], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.hidden = false;
    this.peek.querySelector("p").textContent = picture.lines;
    this.box.dataset.peek = picture.index;
  }

  pick(index) {
    if (index >= 0) this.send("picked", { place: this.data.place, index });
  }

  end() {
    this.listeners.abort();
    this.resizing.disconnect();
    clearTimeout(this.later);
    clearTimeout(this.asking);
    cancelAnimationFrame(this.wanted);
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const map = (parentElement.rrsMap ??= new PointMap(parentElement));
  map.update(data, setTriggerValue);
  return () => {
    map.end();
    parentElement.rrsMap = undefined;
  };
}

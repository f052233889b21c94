// A map of up to millions of points: WebGL draws them, the browser moves and zooms, the server says who is inside.
//
// `data` names the parts to draw (see pointpart.js) and holds what is written: {n, drawn, sampled, place, colour, pale,
// lit, more, filter, selection, ground, palette, note, legend: {title, names, counts, low, high}, axes: {x, y, bare, low, high}, labels:
// [[text, x, y]], tool, height, dark, said}. Places run from 0 to 65534, y upwards; 65535 is no place.
// Of many points some are drawn, `n` of the whole map; where it is magnified those near are asked for (pointnear.js).
// A lasso sends its corners, a click the number of a point: never a list of points.

const MOST_CORNERS = 120, NEAR = 9, REST_MS = 130, ASK_MS = 250;

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
    this.plane = gl.createVertexArray();
    this.whole = new PointSet(gl);
    this.near = new PointSet(gl);
    this.more = new PointSet(gl);
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
    on(globalThis, "rrs-near", () => this.load());
    on(globalThis, "rrs-peek", (event) => this.showPeek(event.detail));
    on(this.box, "pointerdown", (event) => this.down(event));
    on(this.box, "pointermove", (event) => this.move(event));
    on(this.box, "pointerup", (event) => this.up(event));
    on(this.box, "pointercancel", () => this.drop());
    on(this.box, "pointerleave", () => this.rest());
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
    if (before && before.colour !== data.colour && `${before.legend.names}` !== `${data.legend.names}`) this.hidden.clear();
    if (before && before.place !== data.place) this.view = { x: 0.5, y: 0.5, zoom: 1 };
    if (before && before.drawn !== data.drawn) this.rest();
    this.writeLegend();
    this.load();
    this.write();
    if (!this.gl && !this.told) { this.told = true; send("failed", "no WebGL 2"); }
  }

  part(id) { return id ? globalThis.rrsParts?.get(id) : undefined; }

  // Give the GPU what has come and what has changed.
  load() {
    const { gl, data } = this;
    if (!gl || !data || gl.isContextLost()) return;
    const place = this.part(`${data.drawn}.place`), colour = this.part(`${data.colour}.${data.drawn}`);
    if (!place || !colour || colour.length !== data.n || place.length !== 4 * data.n) return;
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
    const key = (...ids) => [...ids, ...this.hidden].join();
    const [pale, lit] = [data.pale, data.lit].map((id) => this.part(id));
    this.whole.take(key(data.drawn, data.colour, pale && data.pale, lit && data.lit), () => ({
      id: data.drawn, place: new Uint16Array(place.buffer, place.byteOffset, 2 * data.n), codes: colour, flags: flagsOf(data.n, pale, lit),
    }), this.hidden);
    const near = globalThis.rrsNear;
    const fits = near && near.place === data.place && near.colour === data.colour && near.filter === data.filter;
    this.around = fits ? near : undefined;
    this.near.take(fits ? key(near.id, near.colour, near.filter, near.selection) : "", () => ({ id: near.id, ...unpacked(near.points) }), this.hidden);
    const more = this.part(data.more);
    this.more.take(more ? key(data.more, data.colour, data.selection) : "", () => ({ id: data.more, ...unpacked(more) }), this.hidden);
    this.box.dataset.ready = data.place;
    this.draw();
    this.ask();
  }

  // The sets of points that are drawn, and whether what is near is one of them: where it covers what is in view.
  sets() {
    const [left, bottom] = this.toPlace(0, this.height), [right, top] = this.toPlace(this.width, 0), near = this.around;
    this.inner = near && this.view.zoom > 1.02 && near.box[0] < right && near.box[2] > left && near.box[1] < top && near.box[3] > bottom
      && near.box[2] - near.box[0] > (right - left) / 2 ? near.box : undefined;
    return [this.whole, ...(this.inner ? [this.near] : []), this.more].filter((set) => set.n);
  }

  // Ask for what is near, once the map has come to rest where less is drawn than there is.
  ask() {
    clearTimeout(this.asks);
    const { data } = this;
    if (!data?.sampled || this.view.zoom <= 1.02 || !this.width) return;
    const corners = [...this.toPlace(0, this.height), ...this.toPlace(this.width, 0)];
    const window = corners.map((value) => Math.round(Math.max(0, Math.min(LAST, value)))), near = this.around;
    const has = near && near.complete && window.every((value, i) => (i < 2 ? value >= near.box[i] : value < near.box[i]));
    const key = JSON.stringify([data.place, data.colour, data.filter, data.selection, has ? near.box : window]);
    if (key === this.asked || (has && near.selection === data.selection)) return;
    this.asks = setTimeout(() => {
      this.asked = key;
      globalThis.rrsAskNear?.(data.place, data.colour, window);
    }, ASK_MS);
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
    if (moving) this.later = setTimeout(() => { this.draw(); this.ask(); }, REST_MS);
  }

  paint(moving) {
    const { gl, data, view } = this;
    this.paintOver();
    if (!gl || !this.whole?.n || !this.width) return;
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
    const sets = this.sets(), shown = sets.reduce((sum, set) => sum + set.n, 0), any = (name) => sets.some((set) => set.any[name]);
    const size = (shown <= 2_000 ? 7 : shown <= 20_000 ? 5 : shown <= 200_000 ? 3.2 : 2) * this.dense * Math.min(2.5, view.zoom ** 0.25);
    const at = this.points.at;
    gl.useProgram(this.points.made);
    gl.uniform4fv(at("view"), window);
    gl.uniform1f(at("size"), size);
    gl.uniform1i(at("palette"), 0);
    gl.uniform4fv(at("grey"), data.dark ? [0.5, 0.53, 0.57, 0.22] : [0.55, 0.58, 0.62, 0.22]);
    gl.uniform1f(at("dim"), any("lit") ? 0.22 : 0.85);
    for (const [turn, there] of [[0, any("pale")], [1, true], [2, any("lit")]]) {
      if (!there) continue;
      gl.uniform1i(at("turn"), turn);
      for (const set of sets) {
        gl.uniform4fv(at("but"), set === this.near || !this.inner ? [0, 0, 0, 0] : this.inner);
        set.draw();
      }
    }
    this.box.dataset.drawn = `${this.whole.n}`;
    if (this.inner) this.box.dataset.near = `${this.near.n}`;
    else delete this.box.dataset.near;
    this.write();
  }

  // How many points are drawn, of the whole map or of the part in view.
  write() {
    const words = this.gl ? (this.inner ? this.around.said : this.data.note) : "This browser draws no WebGL.";
    if (this.note.textContent !== words) this.note.textContent = words;
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
    if (this.hovered) {
      const [px, py] = this.toPixel(...this.hovered.set.at(this.hovered.index));
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
    this.rest();
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

  // The point that is nearest to a pixel: its set and its place in that.
  nearest([x, y]) {
    if (!this.width || !this.whole?.n) return undefined;
    const [left, bottom] = this.toPlace(x - NEAR, y + NEAR), [right, top] = this.toPlace(x + NEAR, y - NEAR);
    let best = NEAR * NEAR, found;
    for (const set of this.sets()) {
      for (const index of set.within(left, bottom, right, top)) {
        const place = set.at(index), [px, py] = this.toPixel(...place), apart = (px - x) ** 2 + (py - y) ** 2;
        if (apart < best && (set === this.near || !holds(this.inner, place))) [best, found] = [apart, { set, index }];
      }
    }
    return found;
  }

  hover(at) {
    const found = this.nearest(at);
    if (found?.set === this.hovered?.set && found?.index === this.hovered?.index) return;
    this.rest(found, at);
    if (found) this.asking = setTimeout(() => globalThis.rrsAskPeek?.(found.set.id, found.index), REST_MS);
  }

  rest(found, at) {
    clearTimeout(this.asking);
    this.hovered = found;
    this.paintOver();
    this.peek.style.display = found ? "block" : "none";
    if (!found) return;
    const { legend } = this.data, name = legend.names[found.set.codes[found.index]];
    this.peek.querySelector("canvas").hidden = true;
    this.peek.querySelector("p").textContent = name ? `${legend.title}: ${name}` : "";
    const left = at[0] + 14 + 272 > this.width ? Math.max(2, at[0] - 14 - 272) : at[0] + 14;
    this.peek.style.left = `${left}px`;
    this.peek.style.top = `${Math.max(2, Math.min(at[1] + 14, this.height - 160))}px`;
  }

  showPeek(picture) {
    if (picture.index !== this.hovered?.index || picture.drawn !== this.hovered.set.id) return;
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

  pick(found) {
    if (found) this.send("picked", { drawn: found.set.id, index: found.index });
  }

  end() {
    this.listeners.abort();
    this.resizing.disconnect();
    clearTimeout(this.later);
    clearTimeout(this.asks);
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

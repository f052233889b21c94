// A gallery of small waterfalls: one canvas a tile, painted from raw bytes.
//
// `data` is one block of bytes: length of the header (uint32), the header as JSON
// {version, rows, columns, what, maps, tiles: [{id, caption, label, blank}], chosen, said, seen}, a colour table
// of 256 x RGB a map, then one byte a pixel, tile after tile. `version` is that of the tiles and their pixels; what
// comes after it are marks, which change without the tiles being made anew: the keyboard's place stays where it is.
// Names in captions come from foreign files, so they are only ever set as text. A click sends the hit's id, never
// the place of a tile.

const TABLE = 3 * 256;
const STORE = "rrs.gallery"; // of this browser: {brightness, contrast, map}
const LOOK = "rrs-gallery-look"; // told to the other galleries of a page
const USUAL = { brightness: 0, contrast: 0, map: 0 };

function unpack(data) {
  const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
  const begin = 4 + length, end = begin + TABLE * header.maps.length;
  return { header, tables: data.subarray(begin, end), pixels: data.subarray(end) };
}

// What was chosen in this browser; the usual where nothing was, where it is no such choice, or storage is forbidden.
function remembered(maps) {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch (_) {
    // forbidden, or no JSON
  }
  const between = (value) => (Number.isFinite(value) ? Math.min(1, Math.max(-1, value)) : 0);
  const map = Number.isInteger(kept.map) && kept.map >= 0 && kept.map < maps ? kept.map : 0;
  return { brightness: between(kept.brightness), contrast: between(kept.contrast), map };
}

function remember(look) {
  try {
    localStorage.setItem(STORE, JSON.stringify(look));
  } catch (_) {
    // forbidden or full: the choice holds as long as the page
  }
}

// Colours of the 256 pixel values: brightness is a gamma of 1/5 to 5, contrast a slope of 1/5 to 5 about the middle.
function ramp(tables, look) {
  const table = tables.subarray(TABLE * look.map, TABLE * (look.map + 1));
  const colours = new Uint32Array(256);
  for (let value = 0; value < 256; value++) {
    const bright = Math.pow(value / 255, Math.pow(5, -look.brightness));
    const share = Math.min(1, Math.max(0, 0.5 + (bright - 0.5) * Math.pow(5, look.contrast)));
    const at = 3 * Math.round(255 * share);
    colours[value] = (255 << 24) | (table[at + 2] << 16) | (table[at + 1] << 8) | table[at];
  }
  return colours;
}

function paint(canvas, pixels, colours) {
  if (pixels.length !== canvas.width * canvas.height) throw new Error("pixels are missing");
  const image = new ImageData(canvas.width, canvas.height);
  const target = new Uint32Array(image.data.buffer);
  for (let i = 0; i < target.length; i++) target[i] = colours[pixels[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// One tile is two elements: the caption is bare text, the marks are drawn by the style sheet.
function tileOf(tile, header) {
  const button = document.createElement("button");
  button.className = "tile";
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.hit = tile.id;
  button.dataset.label = [tile.label, ...tile.caption.split("\n")].join(" ");
  const canvas = document.createElement("canvas");
  canvas.width = header.columns;
  canvas.height = header.rows;
  if (tile.blank) button.dataset.blank = tile.blank;
  button.append(canvas, tile.caption);
  return button;
}

// Each tile by itself: one that cannot be drawn says so and leaves the others alone.
function repaint(grid, look) {
  const { header, tables, pixels } = grid.shown;
  const colours = ramp(tables, look);
  const size = header.rows * header.columns;
  [...grid.children].forEach((tile, place) => {
    if (header.tiles[place].blank) return;
    try {
      paint(tile.firstElementChild, pixels.subarray(place * size, (place + 1) * size), colours);
      delete tile.dataset.blank;
    } catch (_) {
      tile.dataset.blank = "cannot be drawn here";
    }
  });
}

function mark(grid, header) {
  const seen = new Set([...(header.seen ?? []), ...(header.said ? grid.opened : [])]);
  for (const tile of grid.children) {
    const { hit, label, blank } = tile.dataset;
    const said = header.said?.[hit];
    tile.classList.toggle("chosen", hit === header.chosen);
    tile.classList.toggle("seen", seen.has(hit));
    if (said) tile.dataset.said = said;
    else delete tile.dataset.said;
    const more = [blank && `It has no picture: ${blank}.`, said && `Labelled ${said}.`, seen.has(hit) && "Opened."];
    tile.setAttribute("aria-label", [label, ...more.filter(Boolean)].join(" "));
  }
}

// One stop of the tab key for the whole gallery; the arrows move within it.
function stop(grid, tile) {
  for (const other of grid.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  if (tile) tile.tabIndex = 0;
}

function moved(grid, tile, key) {
  const tiles = [...grid.children], at = tiles.indexOf(tile);
  const below = tiles.findIndex((other) => other.offsetTop > tiles[0].offsetTop);
  const across = below < 0 ? tiles.length : below;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
  if (key === "Home") return tiles[0];
  if (key === "End") return tiles.at(-1);
  return key in steps ? tiles[at + steps[key]] ?? tile : undefined;
}

function listen(grid) {
  grid.opened = new Set();
  grid.onclick = (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    stop(grid, tile);
    grid.opened.add(tile.dataset.hit);
    mark(grid, grid.shown.header);
    grid.send("picked", tile.dataset.hit);
  };
  grid.onkeydown = (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = moved(grid, tile, event.key);
    if (!next) return; // Enter and Space click a button by themselves
    event.preventDefault();
    stop(grid, next);
    next.focus();
  };
}

// The controls show the look that holds, and what they are moved to becomes the look of every gallery of the page.
function control(root, grid) {
  const [brightness, contrast, map] = ["brightness", "contrast", "map"].map((n) => root.querySelector(`[name=${n}]`));
  const { header, tables } = grid.shown;
  map.replaceChildren(...header.maps.map((name, place) => new Option(name, place)));
  const follow = (look) => {
    brightness.value = look.brightness;
    contrast.value = look.contrast;
    map.value = look.map;
    const table = tables.subarray(TABLE * look.map, TABLE * (look.map + 1));
    const stops = [0, 51, 102, 153, 204, 255].map((v) => `rgb(${table.slice(3 * v, 3 * v + 3).join(" ")})`);
    root.querySelector(".ramp").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    repaint(grid, look);
  };
  const tell = (look) => {
    remember(look);
    window.dispatchEvent(new CustomEvent(LOOK, { detail: look }));
  };
  const turned = () => tell({ brightness: +brightness.value, contrast: +contrast.value, map: +map.value });
  for (const one of [brightness, contrast, map]) one.oninput = turned;
  root.querySelector(".reset").onclick = () => tell(USUAL);
  grid.follow = follow;
  follow(remembered(header.maps.length));
}

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  const shown = unpack(data);
  const { header } = shown;
  grid.send = setTriggerValue; // the newest, whether or not the tiles are made anew

  if (!grid.onclick) listen(grid);
  const same = grid.shown?.header.version === header.version;
  grid.shown = shown;
  if (!same) {
    const had = grid.querySelector('[tabindex="0"]')?.dataset.hit;
    grid.setAttribute("aria-label", `${header.tiles.length} waterfalls; the arrow keys move, Enter opens`);
    grid.replaceChildren(...header.tiles.map((tile) => tileOf(tile, header)));
    const tiles = [...grid.children];
    stop(grid, tiles.find((tile) => tile.dataset.hit === had) ?? tiles[0]);
    control(parentElement, grid);
  }
  mark(grid, header);
  if (!grid.told) {
    grid.told = (event) => grid.follow(event.detail);
    window.addEventListener(LOOK, grid.told);
  }
  return () => {
    window.removeEventListener(LOOK, grid.told);
    grid.told = undefined;
  };
}

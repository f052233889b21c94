// A gallery of small waterfalls: one canvas a tile, painted from raw bytes.
//
// `data` is one block of bytes: length of the header (uint32), the header as JSON
// {version, rows, columns, chosen, tiles: [{id, caption, label}]}, a colour table of 256 x RGB,
// then one byte a pixel, tile after tile. Names in captions come from foreign files, so they
// are only ever set as text. A click sends the hit's id, never the place of a tile.

const TABLE = 3 * 256;

function unpack(data) {
  const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
  const table = data.subarray(4 + length, 4 + length + TABLE);
  return { header, table, pixels: data.subarray(4 + length + TABLE) };
}

// Colours of the 256 pixel values at a brightness of 0.2 (dark) to 5 (bright): a gamma curve.
function ramp(table, brightness) {
  const colours = new Uint32Array(256);
  for (let value = 0; value < 256; value++) {
    const at = 3 * Math.round(255 * Math.pow(value / 255, 1 / brightness));
    colours[value] = (255 << 24) | (table[at + 2] << 16) | (table[at + 1] << 8) | table[at];
  }
  return colours;
}

function paint(canvas, pixels, colours) {
  const image = new ImageData(canvas.width, canvas.height);
  const target = new Uint32Array(image.data.buffer);
  for (let i = 0; i < target.length; i++) target[i] = colours[pixels[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function tileOf(tile, header) {
  const button = document.createElement("button");
  button.className = "tile";
  button.type = "button";
  button.dataset.hit = tile.id;
  button.setAttribute("aria-label", tile.label);
  const canvas = document.createElement("canvas");
  canvas.width = header.columns;
  canvas.height = header.rows;
  const caption = document.createElement("span");
  caption.textContent = tile.caption;
  button.append(canvas, caption);
  return button;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  const slider = parentElement.querySelector("input");
  const { header, table, pixels } = unpack(data);
  grid.send = setTriggerValue; // the newest, whether or not the tiles are made anew

  if (grid.dataset.version !== header.version) {
    grid.dataset.version = header.version;
    grid.replaceChildren(...header.tiles.map((tile) => tileOf(tile, header)));
    const size = header.rows * header.columns;
    const repaint = () => {
      const colours = ramp(table, Math.pow(5, Number(slider.value)));
      grid.querySelectorAll("canvas").forEach((canvas, place) => {
        paint(canvas, pixels.subarray(place * size, (place + 1) * size), colours);
      });
    };
    const stops = [0, 51, 102, 153, 204, 255].map((v) => `rgb(${table.slice(3 * v, 3 * v + 3).join(" ")})`);
    parentElement.querySelector(".ramp").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    slider.oninput = repaint;
    grid.onclick = (event) => {
      const tile = event.target.closest(".tile");
      if (tile) grid.send("picked", tile.dataset.hit);
    };
    repaint();
  }
  for (const tile of grid.children) tile.classList.toggle("chosen", tile.dataset.hit === header.chosen);
}

// What is drawn where the map is magnified: asked for when it comes to rest, in a fragment of its own.
//
// `data`: length of the header (uint32), the header as JSON {id, place, colour, filter, selection, box, said, complete}, then
// points as pointgl.js reads them. A point that has come is drawn until others take its place.

export default function ({ data, setTriggerValue }) {
  globalThis.rrsAskNear = (place, colour, window) => setTriggerValue("asked", { place, colour, window });
  if (data && data.byteLength > 4) {
    const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
    globalThis.rrsNear = { ...header, points: data.slice(4 + length) };
  } else globalThis.rrsNear = undefined;
  globalThis.dispatchEvent(new CustomEvent("rrs-near"));
  return () => {
    globalThis.rrsAskNear = undefined;
    globalThis.rrsNear = undefined;
  };
}

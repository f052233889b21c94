// The picture beside the pointer: asked for when the pointer rests on a point, in a fragment of its own.
//
// `data`: length of the header (uint32), the header as JSON {drawn, index, lines, rows, columns}, a colour table of
// 256 x RGB, then one byte a pixel. Lines are shown as text.

export default function ({ data, setTriggerValue }) {
  globalThis.rrsAskPeek = (drawn, index) => setTriggerValue("asked", { drawn, index });
  if (data && data.byteLength > 4) {
    const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
    const table = data.subarray(4 + length, 4 + length + 768);
    const pixels = data.subarray(4 + length + 768);
    globalThis.dispatchEvent(new CustomEvent("rrs-peek", { detail: { ...header, table, pixels } }));
  }
  return () => {
    globalThis.rrsAskPeek = undefined;
  };
}

// One part of a map: places, colours, or a yes or no a point; kept in the browser until another takes its place.
//
// `data`: length of the header (uint32), the header as JSON {id}, then bytes. A part that has not changed is not sent
// again, so a new colour costs a byte a point and a new selection a bit.

export default function ({ data, parentElement }) {
  const parts = (globalThis.rrsParts ??= new Map());
  const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  const { id } = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
  const held = parentElement.rrsPart;
  if (held !== id) {
    if (held) parts.delete(held);
    parentElement.rrsPart = id;
    parts.set(id, data.slice(4 + length)); // a copy begins where numbers of 16 bits may begin
    globalThis.dispatchEvent(new CustomEvent("rrs-part", { detail: id }));
  }
  return () => {
    parts.delete(parentElement.rrsPart);
    parentElement.rrsPart = undefined;
  };
}

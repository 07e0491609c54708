/** Bytes of a mask. */
export const MASK_BYTES = 4;
/** Contents from this size on are masked in words. */
const WORDS_FROM_BYTES = 512;

/** Puts a mask of four bytes, given as they stand in a frame, on a content or takes it off, in place (RFC 6455, section 5.3). */
export function applyMask(content: Buffer, mask: number): void {
  const from = content.length < WORDS_FROM_BYTES ? 0 : maskWords(content, mask);
  for (let i = from; i < content.length; i++) content[i]! ^= maskByte(mask, i);
}

/** The byte of the mask for byte `i` of a content. */
function maskByte(mask: number, i: number): number {
  return (mask >>> (24 - 8 * (i & 3))) & 0xff;
}

/** Masks four bytes at a time, after the first ones up to where memory is aligned; gives how far it came. */
function maskWords(content: Buffer, mask: number): number {
  const start = -content.byteOffset & 3;
  for (let i = 0; i < start; i++) content[i]! ^= maskByte(mask, i);
  const words = new Int32Array(content.buffer, content.byteOffset + start, (content.length - start) >> 2);
  const turned = Uint8Array.from({ length: MASK_BYTES }, (_, i) => maskByte(mask, start + i));
  const word = new Int32Array(turned.buffer)[0]!;
  for (let i = 0; i < words.length; i++) words[i]! ^= word;
  return start + words.length * MASK_BYTES;
}

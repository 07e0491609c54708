import { crc32, deflateRawSync } from 'node:zlib';

/** A part of a zip file; a lie is what a field says in place of the truth. */
export interface MadePart {
  readonly name: string;
  readonly content: Buffer;
  readonly stored?: boolean;
  /** The upper half of its attributes. */
  readonly mode?: number;
  /** Its checksum and sizes stand behind it. */
  readonly streamed?: boolean;
  readonly lie?: {
    readonly bytes?: number;
    readonly packedBytes?: number;
    readonly headerName?: string;
    /** Where its header is said to lie. */
    readonly headerAt?: number;
    /** What its own header says it unpacks to. */
    readonly headerBytes?: number;
  };
}

const EMPTY = Buffer.alloc(0);

/** Makes a zip file, honest or not. */
export function makeZip(
  parts: readonly MadePart[],
  end: { readonly count?: number; readonly comment?: Buffer } = {},
): Buffer {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const part of parts) {
    const packed = part.stored ? part.content : deflateRawSync(part.content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(part.streamed ? 8 : 0, 2);
    fields.writeUInt16LE(part.stored ? 0 : 8, 4);
    fields.writeUInt32LE(crc32(part.content), 10);
    fields.writeUInt32LE(part.lie?.packedBytes ?? packed.length, 14);
    fields.writeUInt32LE(part.lie?.bytes ?? part.content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(part.name), 22);
    const headerName = Buffer.from(part.lie?.headerName ?? part.name);
    const header = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, headerName]);
    header.writeUInt16LE(headerName.length, 26);
    if (part.lie?.headerBytes !== undefined) header.writeUInt32LE(part.lie.headerBytes, 22);
    const rest = Buffer.alloc(14);
    rest.writeUInt16LE(part.mode ?? 0, 8);
    rest.writeUInt32LE(part.lie?.headerAt ?? at, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\0', 'latin1'), fields, rest, Buffer.from(part.name));
    const behind = part.streamed
      ? Buffer.concat([Buffer.from('PK\x07\x08', 'latin1'), fields.subarray(10, 22)])
      : EMPTY;
    if (part.streamed) header.fill(0, 14, 26);
    pieces.push(header, packed, behind);
    at += header.length + packed.length + behind.length;
  }
  const listed = Buffer.concat(directory);
  const comment = end.comment ?? EMPTY;
  const tail = Buffer.alloc(22);
  tail.write('PK\x05\x06', 'latin1');
  tail.writeUInt16LE(end.count ?? parts.length, 8);
  tail.writeUInt16LE(end.count ?? parts.length, 10);
  tail.writeUInt32LE(listed.length, 12);
  tail.writeUInt32LE(at, 16);
  tail.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...pieces, listed, tail, comment]);
}

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import {
  type AndroidManifest,
  ATTRIBUTES,
  MAX_ELEMENTS,
  type ManifestElement,
  manifestOf,
  plainName,
  wrong,
} from './android-manifest.ts';

/** Fields of Resources.proto of aapt2 (frameworks/base/tools/aapt2 of the Android Open Source Project) that are read, by their numbers. */
const NODE = { element: 1 } as const;
const ELEMENT = { namespace: 2, name: 3, attribute: 4, child: 5 } as const;
const ATTRIBUTE = { namespace: 1, name: 2, value: 3, resource: 5, item: 6 } as const;
const ITEM = { text: 2, rawText: 3, primitive: 7 } as const;
const TEXT = { value: 1 } as const;
const PRIMITIVE = { decimal: 6, hexadecimal: 7 } as const;
const MAX_DEPTH = 64;

/**
 * Reads the AndroidManifest.xml of an app bundle, which is an XmlNode of aapt2 and no binary XML.
 * @throws PackageError ERR_PACKAGE_MANIFEST
 */
export function readBundleManifest(bytes: Buffer): AndroidManifest {
  const elements: ManifestElement[] = [];
  try {
    readNode(bytes, { elements, depth: 0 });
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'PackageError') throw cause;
    throw wrong('it is no message of aapt2');
  }
  return manifestOf(elements);
}

/** What one field of a message holds: bytes, or a number. */
type Field = Uint8Array | number;

/** Fields of a message in their order. One of another kind than these two is passed over. */
function* fieldsOf(bytes: Uint8Array): Generator<readonly [number: number, value: Field]> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, kind] = reader.tag();
    if (kind === WireType.LengthDelimited) yield [number, reader.bytes()];
    else if (kind === WireType.Varint) yield [number, Number(reader.uint64())];
    else reader.skip(kind, number);
  }
}

/** The fields of a message by their numbers, each there once at most: who reads it then finds the same, whichever of several counts. */
function onlyFields(bytes: Uint8Array): ReadonlyMap<number, Field> {
  const fields = new Map<number, Field>();
  for (const [number, value] of fieldsOf(bytes)) {
    if (fields.has(number)) throw wrong('a part of it says something twice');
    fields.set(number, value);
  }
  return fields;
}

interface Place {
  readonly elements: ManifestElement[];
  readonly depth: number;
}

function readNode(bytes: Uint8Array, place: Place): void {
  const element = onlyFields(bytes).get(NODE.element);
  if (element instanceof Uint8Array) readElement(element, place);
}

function readElement(bytes: Uint8Array, { elements, depth }: Place): void {
  if (depth > MAX_DEPTH) throw wrong('its elements are nested too deeply');
  if (elements.length === MAX_ELEMENTS) throw wrong('it has too many elements');
  const names: string[] = [];
  const attributes = new Map<string, string | number>();
  const children: Uint8Array[] = [];
  for (const [number, value] of fieldsOf(bytes)) {
    if (number === ELEMENT.namespace && textOf(value) !== '') throw wrong('an element is of another namespace');
    if (number === ELEMENT.name) names.push(textOf(value));
    if (number === ELEMENT.attribute) readAttribute(bytesOf(value), attributes);
    if (number === ELEMENT.child) children.push(bytesOf(value));
  }
  const [name, ...others] = names;
  if (!name || others.length > 0) throw wrong('an element has not one name');
  elements.push({ name, depth, attributes });
  for (const child of children) readNode(child, { elements, depth: depth + 1 });
}

function readAttribute(bytes: Uint8Array, attributes: Map<string, string | number>): void {
  const fields = onlyFields(bytes);
  const isPlain = textOf(fields.get(ATTRIBUTE.namespace)) === '';
  const name = isPlain
    ? plainName(textOf(fields.get(ATTRIBUTE.name)))
    : ATTRIBUTES.get(Number(fields.get(ATTRIBUTE.resource) ?? 0));
  if (name === undefined) return;
  if (attributes.has(name)) throw wrong('an element says something twice');
  const item = fields.get(ATTRIBUTE.item);
  const written = textOf(fields.get(ATTRIBUTE.value));
  attributes.set(name, item === undefined ? written : compiledValue(bytesOf(item)));
}

/** References to other files of the bundle are not followed: what counts is said here. */
function compiledValue(item: Uint8Array): string | number {
  const fields = onlyFields(item);
  const text = fields.get(ITEM.text) ?? fields.get(ITEM.rawText);
  if (text !== undefined) return textOf(onlyFields(bytesOf(text)).get(TEXT.value));
  const primitive = fields.get(ITEM.primitive);
  if (primitive === undefined) return '';
  const numbers = onlyFields(bytesOf(primitive));
  const number = numbers.get(PRIMITIVE.decimal) ?? numbers.get(PRIMITIVE.hexadecimal);
  return typeof number === 'number' && number <= 0xffffffff ? number : '';
}

function bytesOf(field: Field): Uint8Array {
  if (field instanceof Uint8Array) return field;
  throw wrong('a part of it is of another kind');
}

function textOf(field: Field | undefined): string {
  return field === undefined ? '' : new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(field));
}

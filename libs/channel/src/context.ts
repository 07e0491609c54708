import { formatLatin1 } from './bytes.ts';
import { CborFields, type CborInput, encodeCbor } from './cbor.ts';

/** What a device says about the state it is in. A fact it cannot know is absent, and absent never satisfies a rule. */
export interface Posture {
  readonly rooted?: boolean;
  readonly debugger?: boolean;
  readonly emulator?: boolean;
  readonly lockScreen?: boolean;
  readonly encrypted?: boolean;
  readonly managed?: boolean;
}

/** App context: which app speaks, on what device, in which posture (SPEC.md, section 3). */
export interface AppContext {
  readonly id: string;
  /** Dotted numbers, compared number by number. */
  readonly version: string;
  readonly build: string;
  /** SHA-256 of the signer's certificate, 32 bytes. */
  readonly signer: Uint8Array;
  readonly os: string;
  readonly osVersion: string;
  readonly osPatch: string;
  readonly model: string;
  readonly posture: Posture;
  readonly sdk: string;
}

const POSTURE_FIELDS = [
  ['rooted', 'rooted'],
  ['debugger', 'debugger'],
  ['emulator', 'emulator'],
  ['lockScreen', 'lock_screen'],
  ['encrypted', 'encrypted'],
  ['managed', 'managed'],
] as const;

/** The app context as a value for `encodeCbor`. */
export function contextToCbor(context: AppContext): CborInput {
  const posture = Object.fromEntries(POSTURE_FIELDS.map(([name, field]) => [field, context.posture[name]]));
  return {
    id: context.id,
    version: context.version,
    build: context.build,
    signer: context.signer,
    os: context.os,
    os_version: context.osVersion,
    os_patch: context.osPatch,
    model: context.model,
    posture,
    sdk: context.sdk,
  };
}

/** Deterministic CBOR of an app context. */
export function encodeContext(context: AppContext): Uint8Array {
  return encodeCbor(contextToCbor(context));
}

/** Contexts that were read, by their bytes: the devices of a company show few different ones. */
const known = new Map<string, AppContext>();
const MAX_KNOWN = 1_024;
const MAX_KNOWN_BYTES = 1_024;

/** Reads an app context; equal bytes give the same object. @throws ChannelError ERR_CHANNEL_CBOR naming the field. */
export function decodeContext(cbor: Uint8Array): AppContext {
  if (cbor.length > MAX_KNOWN_BYTES) return parseContext(CborFields.decode(cbor));
  const key = formatLatin1(cbor);
  const found = known.get(key);
  if (found) return found;
  const context = Object.freeze(parseContext(CborFields.decode(cbor)));
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, context);
  return context;
}

/** Reads an app context. @throws ChannelError ERR_CHANNEL_CBOR naming the field. */
export function parseContext(fields: CborFields): AppContext {
  const posture = fields.map('posture');
  const known = POSTURE_FIELDS.map(([name, field]) => [name, posture.flag(field)] as const);
  return {
    id: fields.line('id', 128),
    version: fields.line('version', 32),
    build: fields.line('build', 32),
    signer: fields.bytes('signer', 32),
    os: fields.line('os', 32),
    osVersion: fields.line('os_version', 64),
    osPatch: fields.line('os_patch', 64),
    model: fields.line('model', 128),
    posture: Object.fromEntries(known.filter(([, value]) => value !== undefined)),
    sdk: fields.line('sdk', 64),
  };
}

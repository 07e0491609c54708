import { EMPTY, formatLatin1 } from './bytes.ts';
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

/** The app context as a value for `encodeCbor`; what is not known is left out. */
export function contextToCbor(context: AppContext): CborInput {
  const posture = Object.fromEntries(POSTURE_FIELDS.map(([name, field]) => [field, context.posture[name]]));
  return {
    id: context.id,
    version: context.version,
    build: known(context.build),
    signer: known(context.signer),
    os: known(context.os),
    os_version: known(context.osVersion),
    os_patch: known(context.osPatch),
    model: known(context.model),
    posture,
    sdk: known(context.sdk),
  };
}

function known<T extends { readonly length: number }>(fact: T): T | undefined {
  return fact.length === 0 ? undefined : fact;
}

/** Deterministic CBOR of an app context. */
export function encodeContext(context: AppContext): Uint8Array {
  return encodeCbor(contextToCbor(context));
}

/** Contexts that were read, by their bytes: the devices of a company show few different ones. */
const seen = new Map<string, AppContext>();
const MAX_KNOWN = 1_024;
const MAX_KNOWN_BYTES = 1_024;

/** Reads an app context; equal bytes give the same object. @throws ChannelError ERR_CHANNEL_CBOR naming the field. */
export function decodeContext(cbor: Uint8Array): AppContext {
  if (cbor.length > MAX_KNOWN_BYTES) return parseContext(CborFields.decode(cbor));
  const key = formatLatin1(cbor);
  const found = seen.get(key);
  if (found) return found;
  const context = Object.freeze(parseContext(CborFields.decode(cbor)));
  if (seen.size >= MAX_KNOWN) seen.clear();
  seen.set(key, context);
  return context;
}

/** Reads an app context. @throws ChannelError ERR_CHANNEL_CBOR naming the field. */
export function parseContext(fields: CborFields): AppContext {
  const posture = fields.optionalMap('posture');
  const facts = POSTURE_FIELDS.map(([name, field]) => [name, posture?.flag(field)] as const);
  return {
    id: fields.line('id', 128),
    version: fields.line('version', 32),
    build: fields.optionalLine('build', 32) ?? '',
    signer: fields.has('signer') ? fields.bytes('signer', 32) : EMPTY,
    os: fields.optionalLine('os', 32) ?? '',
    osVersion: fields.optionalLine('os_version', 64) ?? '',
    osPatch: fields.optionalLine('os_patch', 64) ?? '',
    model: fields.optionalLine('model', 128) ?? '',
    posture: Object.fromEntries(facts.filter(([, value]) => value !== undefined)),
    sdk: fields.optionalLine('sdk', 64) ?? '',
  };
}

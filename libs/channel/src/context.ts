import { EMPTY, formatLatin1 } from './bytes.ts';
import { CborFields, type CborInput, encodeCbor } from './cbor.ts';

/** What a device says about the state it is in. A fact it cannot know is absent, and absent never satisfies a rule. */
export interface Posture {
  /** The system is rooted or jailbroken. */
  readonly rooted?: boolean;
  /** A debugger is attached to the app. */
  readonly debugger?: boolean;
  /** The device is an emulator. */
  readonly emulator?: boolean;
  /** The screen is locked by a code or by biometry. */
  readonly lockScreen?: boolean;
  /** What is stored is encrypted. */
  readonly encrypted?: boolean;
  /** The company's device management (MDM) manages the device. */
  readonly managed?: boolean;
}

/** App context: which app speaks, on what device, in which posture (SPEC.md, section 3). */
export interface AppContext {
  /** Bundle or package id of the app, at most 128 characters. */
  readonly id: string;
  /** Dotted numbers, compared number by number. */
  readonly version: string;
  /** Build of the app, at most 32 characters; empty when not known. */
  readonly build: string;
  /** SHA-256 of the signer's certificate, 32 bytes. */
  readonly signer: Uint8Array;
  /** Name of the operating system, like `android` or `ios`; empty when not known. */
  readonly os: string;
  /** Version of the operating system; empty when not known. */
  readonly osVersion: string;
  /** Security patch level, like `2026-11-05`; empty when not known. */
  readonly osPatch: string;
  /** Model of the device; empty when not known. */
  readonly model: string;
  /** State of the device, as far as it is known. */
  readonly posture: Posture;
  /** Name and version of the SDK that speaks; empty when not known. */
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

import { type HeadLimits, HTTP_LIMITS, type RequestHead } from './binary-http.ts';
import { ChannelError } from './errors.ts';

/** The name of a field where it is one that may stand in a message, as ` (name)`. */
function named(name: string): string {
  return /^[a-z0-9-]{1,64}$/.test(name) ? ` (${name})` : '';
}

function refuse(message: string): never {
  throw new ChannelError('ERR_CHANNEL_HTTP', message, { tooLarge: true });
}

/** @throws ChannelError ERR_CHANNEL_HTTP naming what is longer than a limit, and whose value it is */
export function refuseLength(limit: number, what: string, name = ''): never {
  return refuse(`${what}${named(name)} is longer than ${limit} bytes`);
}

/** @throws ChannelError ERR_CHANNEL_HTTP naming the field that is one too many */
export function refuseCount(limit: number, name: string): never {
  return refuse(`a field${named(name)} is one more than the ${limit} that may be`);
}

/** @throws ChannelError ERR_CHANNEL_HTTP naming the field with which all become too long */
export function refuseSection(limit: number, name: string): never {
  return refuse(`with a field${named(name)} all fields together are longer than ${limit} bytes`);
}

/**
 * Holds a request's head against limits before it is sent, with the words that a decoder has for it.
 * @throws ChannelError ERR_CHANNEL_HTTP, too large
 */
export function checkHeadSize({ path, fields }: RequestHead, limits: HeadLimits): void {
  if (path.length > limits.pathBytes) refuseLength(limits.pathBytes, 'the path');
  let bytes = 0;
  for (const [index, [name, value]] of fields.entries()) {
    if (name.length > HTTP_LIMITS.nameBytes) refuseLength(HTTP_LIMITS.nameBytes, 'a field name');
    if (value.length > limits.valueBytes) refuseLength(limits.valueBytes, 'the value of a field', name);
    bytes += name.length + value.length;
    if (bytes > limits.sectionBytes) refuseSection(limits.sectionBytes, name);
    if (index >= limits.fields) refuseCount(limits.fields, name);
  }
}

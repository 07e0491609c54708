import { type Field, passedFields, type RequestHead } from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import { basicOf } from '../backend/basic.ts';
import { davFields, namesPlace } from './dav-fields.ts';

/**
 * Fields of a request as its backend gets them: those of the device that may pass, and what the Proxy alone says: from where
 * and for whom it asks. Where the gateway itself speaks in Authorization, what the device wrote there does not pass.
 */
export function requestFields(head: RequestHead, deviceAddress: string, resource: ResourceGrant): Field[] {
  const { backend, assertion, delegated } = resource;
  const authorization = delegated === undefined ? basicOf(backend) : `Bearer ${delegated}`;
  const passed = passedFields(head.fields, backend.passFields);
  const own = authorization === undefined ? passed : passed.filter(([name]) => name !== 'authorization');
  const fields = own.some(([name]) => namesPlace(name)) ? davFields(own, head, backend) : own;
  const scheme = backend.publicScheme ?? head.scheme;
  fields.push(['forwarded', forwarded(deviceAddress, head.authority, scheme)]);
  if (backend.xForwarded) {
    fields.push(['x-forwarded-for', deviceAddress]);
    fields.push(['x-forwarded-host', head.authority]);
    fields.push(['x-forwarded-proto', scheme]);
  }
  if (assertion !== undefined) fields.push(['sallyport-assertion', assertion]);
  if (authorization !== undefined) fields.push(['authorization', authorization]);
  return fields;
}

/** Value of the field `forwarded` (RFC 7239): the device's address, and what it asked for by host and scheme. */
function forwarded(address: string, authority: string, scheme: string): string {
  const from = address.includes(':') ? `"[${address}]"` : address;
  const host = authority.includes(':') ? `"${authority}"` : authority;
  return `for=${from};host=${host};proto=${scheme}`;
}

import { type Field, passedFields, type RequestHead } from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';

/**
 * Fields of a request as its backend gets them: those of the device that may pass, and what the Proxy alone says: from where
 * and for whom it asks. Where a token was delegated it stands in Authorization, whatever the device wrote there.
 */
export function requestFields(head: RequestHead, deviceAddress: string, resource: ResourceGrant): Field[] {
  const { backend, assertion, delegated } = resource;
  const passed = passedFields(head.fields, backend.passFields);
  const fields = delegated === undefined ? passed : passed.filter(([name]) => name !== 'authorization');
  const scheme = backend.publicScheme ?? head.scheme;
  fields.push(['forwarded', forwarded(deviceAddress, head.authority, scheme)]);
  if (backend.xForwarded) {
    fields.push(['x-forwarded-for', deviceAddress]);
    fields.push(['x-forwarded-host', head.authority]);
    fields.push(['x-forwarded-proto', scheme]);
  }
  if (assertion !== undefined) fields.push(['sallyport-assertion', assertion]);
  if (delegated !== undefined) fields.push(['authorization', `Bearer ${delegated}`]);
  return fields;
}

/** Value of the field `forwarded` (RFC 7239): the device's address, and what it asked for by host and scheme. */
function forwarded(address: string, authority: string, scheme: string): string {
  const from = address.includes(':') ? `"[${address}]"` : address;
  const host = authority.includes(':') ? `"${authority}"` : authority;
  return `for=${from};host=${host};proto=${scheme}`;
}

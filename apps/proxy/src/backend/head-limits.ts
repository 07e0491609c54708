import { type HeadLimits, HTTP_LIMITS, WIDEST_HEAD } from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';

/** Bounds of the heads of requests and responses of a backend. One that has limits of its own may have longer heads in all. */
export function headLimitsOf({ fields }: Pick<Backend, 'fields'>): HeadLimits {
  if (!fields) return HTTP_LIMITS;
  const { count = HTTP_LIMITS.fields, bytes = HTTP_LIMITS.valueBytes } = fields;
  return {
    sectionBytes: WIDEST_HEAD.sectionBytes,
    fields: count,
    valueBytes: bytes,
    pathBytes: Math.max(bytes, HTTP_LIMITS.pathBytes),
  };
}

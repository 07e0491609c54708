/** The realm in braces is the hash tag: in a Cluster all keys of a realm live in one slot. */
export function redisKey(realm: string, ...parts: readonly string[]): string {
  return ['sallyport', `{${realm}}`, ...parts].join(':');
}

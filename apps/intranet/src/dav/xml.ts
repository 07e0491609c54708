/** One property that a client asks for. */
export interface PropertyName {
  readonly namespace: string;
  readonly name: string;
}

const DAV = 'DAV:';
const TAG = /<(\/?)(?:([\w.-]+):)?([\w.-]+)((?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>/g;
const NAMESPACE = /xmlns(?::([\w.-]+))?\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

/**
 * The properties that a PROPFIND names (RFC 4918, section 9.1); undefined when it wants all. Reads what clients send, not all
 * of XML: no document type, no entities.
 */
export function readPropertyNames(text: string): PropertyName[] | undefined {
  const names: PropertyName[] = [];
  const prefixes = new Map<string, string>();
  let depth = 0;
  let propDepth: number | undefined;
  for (const [, closes, prefix = '', name = '', attributes = '', empty] of text.matchAll(TAG)) {
    if (closes) {
      depth -= 1;
      if (propDepth !== undefined && depth < propDepth) propDepth = undefined;
      continue;
    }
    for (const [, key = '', double, single] of attributes.matchAll(NAMESPACE))
      prefixes.set(key, double ?? single ?? '');
    const namespace = prefixes.get(prefix) ?? (prefix === '' ? '' : DAV);
    depth += 1;
    if (propDepth === undefined && name === 'prop' && namespace === DAV && !empty) propDepth = depth;
    else if (propDepth === depth - 1) names.push({ namespace, name });
    if (empty) depth -= 1;
  }
  return names.length > 0 ? names : undefined;
}

/** The text of the first element of a name, without markup. */
export function readText(text: string, name: string): string {
  const [, inner = ''] =
    new RegExp(`<(?:[\\w.-]+:)?${name}[^>]*>([\\s\\S]*?)</(?:[\\w.-]+:)?${name}\\s*>`).exec(text) ?? [];
  return inner.replace(/<[^>]*>/g, '').trim();
}

/** Text made safe for XML. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A whole document around some content of the namespace DAV. */
export function document(root: string, content: string): string {
  return `<?xml version="1.0" encoding="utf-8"?>\n<D:${root} xmlns:D="DAV:">${content}</D:${root}>`;
}

/** An empty element for a property that is not there. */
export function emptyElement({ namespace, name }: PropertyName): string {
  return namespace === DAV ? `<D:${name}/>` : `<X:${name} xmlns:X="${escapeXml(namespace)}"/>`;
}

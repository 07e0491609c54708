const SECRET = 'sallyport.origins';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/**
 * The origin at which each resource is shown in this browser. Its label is a MAC over the resource's authority with a secret of this
 * browser: no page can tell the origin of another resource, and no name server or certificate log learns what resources there are.
 */
export class ResourceOrigins {
  readonly #pattern: string;
  readonly #authorities = new Map<string, string>();
  #key: Promise<CryptoKey> | undefined;

  /** `pattern` like `https://*.apps.example.com`. */
  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  /** The origin of an authority. */
  async originOf(authority: string): Promise<string> {
    this.#key ??= importSecret(storedSecret());
    const mac = await crypto.subtle.sign('HMAC', await this.#key, new TextEncoder().encode(authority));
    const origin = this.#pattern.replace('*', `r${labelOf(new Uint8Array(mac))}`);
    this.#authorities.set(origin, authority);
    return origin;
  }

  /** The authority that an origin stands for; undefined for any origin that was not asked for here. */
  authorityOf(origin: string): string | undefined {
    return this.#authorities.get(origin);
  }

  /** New origins from now on: what pages have stored at the old ones is out of reach. */
  forget(): void {
    localStorage.removeItem(SECRET);
    this.#authorities.clear();
    this.#key = undefined;
  }
}

/** 125 bits in letters that a host may hold. */
function labelOf(mac: Uint8Array): string {
  return [...mac.subarray(0, 25)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
}

function storedSecret(): string {
  const known = localStorage.getItem(SECRET);
  if (known !== null) return known;
  const made = [...crypto.getRandomValues(new Uint8Array(32))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  localStorage.setItem(SECRET, made);
  return made;
}

function importSecret(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
}

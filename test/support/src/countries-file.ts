/** A network of IPv4, `address/bits`, with what a file says of it. */
export interface CountryNetwork {
  readonly network: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** Bytes between tree and data, and the mark of what a file says of itself (MaxMind DB File Format Specification, version 2.0). */
const SEPARATOR = Buffer.alloc(16);
const MARK = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');

/**
 * A file of countries with these networks, in the format of MaxMind: a tree of addresses with records of 24 bits, of IPv4 alone or of both
 * families, IPv4 below `::/96`.
 */
export function countriesFile(networks: readonly CountryNetwork[], version: 4 | 6 = 6): Buffer {
  // A node is where each bit leads: to a node, to a place in the data behind them, or nowhere.
  type Step = number | { readonly at: number } | undefined;
  const nodes: [Step, Step][] = [[undefined, undefined]];
  const data: Buffer[] = [];
  for (const { network, record } of networks) {
    const bits = version === 6 ? [...Array<0 | 1>(96).fill(0), ...bitsOf(network)] : bitsOf(network);
    let node = 0;
    for (const bit of bits.slice(0, -1)) {
      const next = nodes[node]![bit];
      if (typeof next === 'number') node = next;
      else {
        nodes.push([undefined, undefined]);
        nodes[node]![bit] = nodes.length - 1;
        node = nodes.length - 1;
      }
    }
    nodes[node]![bits.at(-1)!] = { at: data.reduce((sum, part) => sum + part.length, 0) };
    data.push(encode(record));
  }
  const value = (step: Step): number => {
    if (step === undefined) return nodes.length;
    return typeof step === 'number' ? step : nodes.length + SEPARATOR.length + step.at;
  };
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [i, steps] of nodes.entries())
    for (const bit of [0, 1]) tree.writeUIntBE(value(steps[bit]), i * 6 + bit * 3, 3);
  const about = {
    ...{ binary_format_major_version: 2, binary_format_minor_version: 0, build_epoch: 1, database_type: 'Country' },
    ...{ description: {}, ip_version: version, languages: [], node_count: nodes.length, record_size: 24 },
  };
  return Buffer.concat([tree, SEPARATOR, ...data, MARK, encode(about)]);
}

function bitsOf(network: string): (0 | 1)[] {
  const [address = '', length = '32'] = network.split('/');
  const bits = address.split('.').flatMap((part) => [...Number(part).toString(2).padStart(8, '0')].map(Number));
  return bits.slice(0, Number(length)) as (0 | 1)[];
}

const [TEXT, MAP, COUNT, LIST] = [2, 7, 6, 11 - 7];

function encode(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.concat([Buffer.of((TEXT << 5) | value.length), Buffer.from(value)]);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([Buffer.of((COUNT << 5) | 4), bytes]);
  }
  if (Array.isArray(value)) return Buffer.concat([Buffer.of(value.length, LIST), ...value.map(encode)]);
  const entries = Object.entries(value as object);
  return Buffer.concat([Buffer.of((MAP << 5) | entries.length), ...entries.flat().map(encode)]);
}

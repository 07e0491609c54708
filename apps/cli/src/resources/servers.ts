import { CliError } from '../output.ts';

/** One server of a backend as it is written: `https://b.internal,weight=3` or `https://c.internal,standby`. */
interface WrittenServer {
  readonly url: string;
  readonly weight?: number;
  readonly standby?: true;
}

/**
 * The servers of a backend from how they are written, the first one as its URL. With `anew` what was there before is taken away.
 * @throws CliError when one is not written so
 */
export function parseServers(texts: readonly string[], anew: boolean): Record<string, unknown> {
  const [first, ...others] = texts.map(parseServer);
  if (!first) return {};
  if (first.standby) throw new CliError('the first server cannot be on standby', 'name one first that is not');
  const none = anew ? null : undefined;
  const all = { url: first.url, weight: first.weight ?? none, servers: others.length > 0 ? others : none };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function parseServer(text: string): WrittenServer {
  const [url = '', ...settings] = text.split(',');
  const server: { url: string; weight?: number; standby?: true } = { url };
  for (const setting of settings) {
    const weight = /^weight=([1-9]\d{0,2})$/.exec(setting)?.[1];
    if (weight !== undefined) server.weight = Number(weight);
    else if (setting === 'standby') server.standby = true;
    else throw new CliError(`${setting} is no setting of a server`, 'for instance https://b.internal,weight=3');
  }
  return server;
}

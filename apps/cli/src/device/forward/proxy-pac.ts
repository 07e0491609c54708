import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Resource } from '@sallyport/device';
import type { LocalAccess } from './access.ts';
import { answer } from './answers.ts';
import { plainAnswer } from './refusal.ts';

/** Path of the file by which browsers learn what goes through the gateway. */
export const PAC_PATH = '/proxy.pac';

/**
 * Proxy auto-config for a browser: what is a resource goes to the forward proxy, and never directly, everything else directly. In the oldest
 * JavaScript that such files are read by.
 */
export function formatPac(resources: readonly Pick<Resource, 'authority'>[], proxy: string): string {
  const places: Record<string, 1> = {};
  const suffixes: [string, number][] = [];
  for (const { authority } of resources) {
    for (const [host, port] of portsOf(authority)) {
      if (host.startsWith('*')) suffixes.push([host.slice(1), port]);
      else places[`${host}:${port}`] = 1;
    }
  }
  return `// Sallyport: your resources go through the gateway, everything else goes its usual way.
var places = ${JSON.stringify(places)};
var suffixes = ${JSON.stringify(suffixes)};
var usual = { http: 80, ws: 80, https: 443, wss: 443 };
function FindProxyForURL(url, host) {
  var parts = /^([a-z]+):\\/\\/(?:[^\\/?#]*@)?(\\[[^\\]]*\\]|[^\\/:?#]*)(?::([0-9]+))?/i.exec(url);
  if (!parts) return "DIRECT";
  var name = parts[2].toLowerCase().replace(/\\.$/, "");
  var port = parts[3] ? Number(parts[3]) : usual[parts[1].toLowerCase()];
  if (places.hasOwnProperty(name + ":" + port)) return ${JSON.stringify(`PROXY ${proxy}`)};
  for (var i = 0; i < suffixes.length; i++) {
    var end = suffixes[i][0];
    var at = name.length - end.length;
    if (suffixes[i][1] === port && at > 0 && name.indexOf(end, at) === at) return ${JSON.stringify(`PROXY ${proxy}`)};
  }
  return "DIRECT";
}
`;
}

/** Host and port of an authority; without a port those of http and https. */
function portsOf(authority: string): readonly (readonly [string, number])[] {
  const [, host = '', port] = /^(.*?)(?::([0-9]+))?$/.exec(authority) ?? [];
  return port === undefined
    ? [
        [host, 80],
        [host, 443],
      ]
    : [[host, Number(port)]];
}

/** What the file is made of. */
export interface PacSource {
  readonly access: LocalAccess;
  readonly port: number;
  resources(): readonly Pick<Resource, 'authority'>[];
}

/**
 * Answers requests for the file; false when something else is asked for. It names the user's resources, so that only programs of the user get
 * it, no page that a browser shows, and none that has another name for this machine.
 */
export function pacAnswerer(
  source: PacSource,
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  return async (request, response) => {
    if (request.url?.split('?', 1)[0] !== PAC_PATH) return false;
    const refused = await source.access.ofSocket(request.socket);
    if (refused) answer(request, response, plainAnswer(refused.status, refused.text));
    else if (!isAskedByProgram(request, source.port))
      answer(request, response, plainAnswer(403, 'this file is for the proxy settings of a browser, not for pages'));
    else sendPac(request, response, source);
    return true;
  };
}

/** A page that asks says where it is from (Fetch Metadata), or has come by a name of its own (DNS rebinding). */
function isAskedByProgram({ headers }: IncomingMessage, port: number): boolean {
  const site = headers['sec-fetch-site'];
  const host = headers.host?.toLowerCase();
  return (site === undefined || site === 'none') && (host === `127.0.0.1:${port}` || host === `localhost:${port}`);
}

function sendPac({ method }: IncomingMessage, response: ServerResponse, { resources, port }: PacSource): void {
  response.writeHead(200, {
    'content-type': 'application/x-ns-proxy-autoconfig',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
  });
  response.end(method === 'HEAD' ? undefined : formatPac(resources(), `127.0.0.1:${port}`));
}

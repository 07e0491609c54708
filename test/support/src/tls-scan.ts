import { execFile } from 'node:child_process';
import { connect } from 'node:tls';
import { promisify } from 'node:util';

/** What a listener was found to speak, by the names that OpenSSL has for it. */
export interface TlsScan {
  readonly versions: readonly string[];
  readonly suites: readonly string[];
  readonly renegotiates: boolean;
  readonly compresses: boolean;
}

/** What a listener on this machine speaks, as Debian's `sslscan` finds it by trying. */
export async function scanTls(port: number): Promise<TlsScan> {
  const args = [
    '--xml=-',
    '--no-colour',
    '--no-check-certificate',
    '--no-groups',
    '--no-heartbleed',
    `127.0.0.1:${port}`,
  ];
  const { stdout } = await promisify(execFile)('sslscan', args);
  const found = (pattern: RegExp): string[] => [...stdout.matchAll(pattern)].map(([, one = '']) => one);
  const versions = found(/<protocol type="(?:ssl|tls)" version="([^"]+)" enabled="1"/g);
  const suites = found(/<cipher status="(?:accepted|preferred)"[^>]* cipher="([^"]+)"/g);
  return {
    versions: versions.map((version) => (/^[23]$/.test(version) ? `SSLv${version}` : `TLSv${version}`)).sort(),
    suites: [...new Set(suites)].sort(),
    renegotiates:
      !/<renegotiation supported="(?:0|1)" secure="1"/.test(stdout) && /<renegotiation supported="1"/.test(stdout),
    compresses: /<compression supported="1"/.test(stdout),
  };
}

/** Which of these key agreements a listener takes, tried one by one: `sslscan` does not know the newest. */
export async function groupsOf(port: number, groups: readonly string[]): Promise<string[]> {
  const taken = await Promise.all(groups.map((group) => takes(port, group)));
  return groups.filter((_, at) => taken[at]);
}

function takes(port: number, ecdhCurve: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, ecdhCurve, rejectUnauthorized: false } as const;
    const socket = connect(options, () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
  });
}

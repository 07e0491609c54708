import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Daemon } from '@sallyport/local-cluster';
import { startModule, startNginx, startProgram } from '../backend.ts';
import type { LaneKind } from '../load/lane.ts';
import { PORTS } from '../ports.ts';
import { cpuMicros, family, memoryMiB } from '../processes.ts';
import type { Subject } from '../subject.ts';

/** Users that the peers know. */
const USERS = 1_024;

/** All peers and controls, running. */
export interface Peers {
  readonly direct: Subject;
  readonly nginxPlain: Subject;
  readonly nginxTls: Subject;
  readonly nginxRsa: Subject;
  readonly nginxAuth: Subject;
  readonly nginxCached: Subject;
  readonly haproxy: Subject;
  readonly replyFrom: Subject;
  stop(): Promise<void>;
}

interface Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly pem: string;
}

function certificateOf(folder: string, name: string, key: readonly string[]): Certificate {
  const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-keyout', files.key, '-out', files.certificate], {
    stdio: 'ignore',
  });
  return { ...files, pem: readFileSync(files.certificate, 'utf8') };
}

function tlsLines({ certificate, key }: Certificate): string {
  return `ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ssl_protocols TLSv1.3; ssl_session_tickets on; ssl_session_cache none;`;
}

/** One worker, as our Proxy has one thread; kept-alive connections on both sides, no log. */
function nginxConfig(listen: string, locations: string, http = ''): string {
  return `worker_processes 1;
http {
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  tcp_nodelay on;
  ${http}
  upstream backend { server 127.0.0.1:${PORTS.backend}; keepalive 1024; keepalive_requests 100000000; }
  upstream auth { server 127.0.0.1:${PORTS.auth}; keepalive 1024; keepalive_requests 100000000; }
  server {
    ${listen}
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_request_buffering off;
    proxy_buffers 16 64k;
    proxy_buffer_size 64k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    ${locations}
  }
}
`;
}

const PASS = 'location / { proxy_pass http://backend; }';
const ASK = `location / { auth_request /auth; proxy_pass http://backend; }
    location = /auth {
      internal;
      proxy_pass http://auth/;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      CACHE
    }`;
const CACHE = `proxy_cache auth;
      proxy_cache_key $http_authorization;
      proxy_cache_valid 204 10s;
      proxy_cache_lock on;`;

function haproxyConfig({ pem }: { pem: string }): string {
  return `global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
frontend in
  bind 127.0.0.1:${PORTS.haproxy} ssl crt ${pem} backlog 4096
  default_backend out
backend out
  server backend 127.0.0.1:${PORTS.backend}
`;
}

/** What a subject is made of. */
interface Made {
  readonly name: string;
  readonly port: number;
  readonly ca?: string;
  readonly children: readonly Daemon[];
}

function subjectOf({ name, port, ca, children }: Made): Subject {
  const pids = (): number[] => children.flatMap(({ pid }) => family(pid));
  return {
    name,
    lanes: (lanes, inFlight): LaneKind => ({
      kind: 'http',
      port,
      connections: inFlight,
      tokens: Array.from({ length: lanes }, (_, i) => `session-${i % USERS}`),
      ...(ca === undefined ? {} : { ca }),
    }),
    cpuMicros: () => cpuMicros(pids()),
    memoryMiB: () => memoryMiB(pids()),
  };
}

/** Starts all peers in a folder. The backend runs already. */
export async function startPeers(folder: string): Promise<Peers> {
  const ec = certificateOf(folder, 'ec', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']);
  const rsa = certificateOf(folder, 'rsa', ['-newkey', 'rsa:2048']);
  const bundle = join(folder, 'haproxy.pem');
  writeFileSync(bundle, `${ec.pem}${readFileSync(ec.key, 'utf8')}`);
  writeFileSync(join(folder, 'haproxy.cfg'), haproxyConfig({ pem: bundle }));
  const listen = (port: number, tls?: Certificate): string =>
    tls ? `listen 127.0.0.1:${port} ssl backlog=4096; ${tlsLines(tls)}` : `listen 127.0.0.1:${port} backlog=4096;`;
  const zone = `proxy_cache_path ${join(folder, 'cache')} keys_zone=auth:8m;`;
  const nginx = (name: string, port: number, config: string): Promise<Daemon> => startNginx(folder, name, config, port);
  const auth = await startModule(
    folder,
    new URL('../auth-server.ts', import.meta.url),
    [`${PORTS.auth}`, `${USERS}`],
    PORTS.auth,
  );
  const plain = await nginx('plain', PORTS.nginxPlain, nginxConfig(listen(PORTS.nginxPlain), PASS));
  const tls = await nginx('tls', PORTS.nginxTls, nginxConfig(listen(PORTS.nginxTls, ec), PASS));
  const tlsRsa = await nginx('rsa', PORTS.nginxRsa, nginxConfig(listen(PORTS.nginxRsa, rsa), PASS));
  const asking = await nginx(
    'asking',
    PORTS.nginxAuth,
    nginxConfig(listen(PORTS.nginxAuth, ec), ASK.replace('CACHE', '')),
  );
  const cached = await nginx(
    'cached',
    PORTS.nginxCached,
    nginxConfig(listen(PORTS.nginxCached, ec), ASK.replace('CACHE', CACHE), zone),
  );
  const haproxy = await startProgram(
    folder,
    ['haproxy', '-db', '-q', '-f', join(folder, 'haproxy.cfg')],
    PORTS.haproxy,
  );
  const replyFrom = await startModule(
    folder,
    new URL('./reply-from.ts', import.meta.url),
    [`${PORTS.replyFrom}`, `http://127.0.0.1:${PORTS.backend}`, ec.certificate, ec.key, `${USERS}`],
    PORTS.replyFrom,
  );
  const children = [auth, plain, tls, tlsRsa, asking, cached, haproxy, replyFrom];
  const ca = ec.pem;
  return {
    direct: subjectOf({ name: 'backend alone', port: PORTS.backend, children: [] }),
    nginxPlain: subjectOf({ name: 'nginx, no TLS', port: PORTS.nginxPlain, children: [plain] }),
    nginxTls: subjectOf({ name: 'nginx TLS', port: PORTS.nginxTls, ca, children: [tls] }),
    nginxRsa: subjectOf({ name: 'nginx TLS, RSA', port: PORTS.nginxRsa, ca: rsa.pem, children: [tlsRsa] }),
    nginxAuth: subjectOf({
      name: 'nginx TLS + auth_request',
      port: PORTS.nginxAuth,
      ca,
      children: [asking, auth],
    }),
    nginxCached: subjectOf({
      name: 'nginx TLS + auth_request, cached 10 s',
      port: PORTS.nginxCached,
      ca,
      children: [cached, auth],
    }),
    haproxy: subjectOf({ name: 'HAProxy TLS', port: PORTS.haproxy, ca, children: [haproxy] }),
    replyFrom: subjectOf({ name: 'fastify + reply-from TLS', port: PORTS.replyFrom, ca, children: [replyFrom] }),
    async stop() {
      for (const child of children) await child.end();
    },
  };
}

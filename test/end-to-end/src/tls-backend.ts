import 'reflect-metadata';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  cryptoProvider,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type IssuedPair, selfSigned } from '@sallyport/support';
import { WebSocketServer } from 'ws';

cryptoProvider.set(globalThis.crypto);
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate for any one name that a CA, whose key a test has read, did or did not want to sign. */
export async function signedBy(ca: IssuedPair, name: string): Promise<IssuedPair> {
  const { subtle } = globalThis.crypto;
  const keys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const issuer = new X509Certificate(ca.certificate);
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await subtle.importKey('pkcs8', PemConverter.decodeFirst(ca.key), ALGORITHM, false, ['sign']),
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
  });
  const key = PemConverter.encode(await subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { certificate: certificate.toString('pem'), key };
}

/** An HTTPS backend whose certificate is for one name and signed by itself; unless told otherwise it answers with the Host it was asked for. */
export async function startTlsBackend(
  name: string,
  answer: RequestListener = (request, response) => response.end(request.headers.host),
): Promise<{ port: number; ca: string; close(): void }> {
  const { certificate: cert, key } = selfSigned(name);
  const server = createServer({ cert, key }, answer);
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => socket.send(String(request.headers.host)));
  const port = await listen(server);
  const close = (): void => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
  };
  return { port, ca: cert, close };
}

/** An HTTPS backend for clients with one certificate only; it answers with what it saw, as JSON. */
export async function startMutualBackend(
  name: string,
  clientCa: string,
): Promise<{ port: number; ca: string; close(): void }> {
  const { certificate: cert, key } = selfSigned(name);
  const server = createServer({ cert, key, ca: clientCa, requestCert: true }, (request, response) => {
    const { host = '', authorization = '', 'x-forwarded-proto': proto = '' } = request.headers;
    const client = String((request.socket as TLSSocket).getPeerCertificate().subject.CN);
    response.end(JSON.stringify({ url: request.url, host, authorization, proto, client }));
  });
  const port = await listen(server);
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { port, ca: cert, close };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

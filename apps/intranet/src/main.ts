import { listenAddress, readSettings, text } from '@sallyport/settings';
import { createLog, spreadLastNet } from '@sallyport/telemetry';
import { createIntranet } from './app.ts';
import { identityVerifier } from './identity.ts';

const settings = readSettings({
  SALLYPORT_LISTEN: listenAddress('where the sample intranet listens', { host: '127.0.0.1', port: 8450 }),
  SALLYPORT_SHARE: text('folder of the file share'),
  SALLYPORT_JWKS_URL: text('where Security publishes the keys of its assertions'),
  SALLYPORT_CA: text("file with the PEM of the gateway's CA"),
  SALLYPORT_AUTHORITY: text('name of this resource at the gateway', 'intranet.example'),
  SALLYPORT_REALM: text('name of the realm', 'main'),
});

const service = await createIntranet({
  shareFolder: settings.SALLYPORT_SHARE,
  identify: identityVerifier({
    jwksUrl: settings.SALLYPORT_JWKS_URL,
    caFile: settings.SALLYPORT_CA,
    issuer: `sallyport:${settings.SALLYPORT_REALM}`,
    audience: settings.SALLYPORT_AUTHORITY,
  }),
});
const url = await service.listen(settings.SALLYPORT_LISTEN);
const stop = (): void => {
  service.server.closeAllConnections();
  void service.close().then(() => process.exit());
};
spreadLastNet(createLog('intranet'), stop);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
process.on('disconnect', stop);
if (process.send) process.send({ type: 'ready', url });
else process.stdout.write(`the sample intranet is up at ${url}\n`);

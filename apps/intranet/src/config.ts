import { list, listenAddress, text } from '@sallyport/settings';

/** Settings of the sample intranet, from the environment. `npm run settings` writes their table into docs/operator.md. */
export const SETTINGS = {
  SALLYPORT_LISTEN: listenAddress('where the sample intranet listens', { host: '127.0.0.1', port: 8450 }),
  SALLYPORT_SHARE: text('folder of the file share'),
  SALLYPORT_JWKS_URL: text('where Security publishes the keys of its assertions'),
  SALLYPORT_CA: text("PEM file: the gateway's CA"),
  SALLYPORT_AUTHORITY: list('names of this resource at the gateway', ['intranet.example']),
  SALLYPORT_REALM: text('name of the realm', 'main'),
};

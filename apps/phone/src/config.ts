import { listenAddress, optionalText } from '@sallyport/settings';

/** Settings of the phone page's server, from the environment. `npm run settings` writes their table into docs/phone.md. */
export const SETTINGS = {
  SALLYPORT_LISTEN: listenAddress('where its server listens; TLS is ended in front of it, with the Host kept', {
    host: '127.0.0.1',
    port: 8480,
  }),
  SALLYPORT_PHONE_ORIGIN: optionalText(
    'origin of the page itself, which holds the keys; absent: `http://phone.localhost`, at the port where it listens',
  ),
  SALLYPORT_RESOURCE_ORIGINS: optionalText(
    'origins of resources, one for each, `*` is one label; absent: `http://*.phone.localhost`, at that port',
  ),
};

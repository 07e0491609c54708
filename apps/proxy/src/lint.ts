// Before a start: what is insecure or does nothing in the settings of this Proxy ends it with words (docs/operator.md).
import { checkStart } from '@sallyport/lint';
import { SETTINGS } from './config.ts';

const server = { name: 'proxy', settings: SETTINGS } as const;
process.exitCode = checkStart({ server, environment: { ...process.env }, file: '/etc/sallyport/proxy.env' });

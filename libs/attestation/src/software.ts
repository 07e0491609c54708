import type { EvidenceConnector } from './connector.ts';

/**
 * Software evidence, for development: the app's own word. It proves that who holds the installation's signing key is there, answers now, and
 * nothing of app, system or device. Its level is `software`, and a realm in production takes none.
 */
export const softwareConnector: EvidenceConnector = () => ({ level: 'software', facts: {} });

export { readAttestationFile, softwareAttestation, type WarnOfList } from './attestation-file.ts';

import { shows } from './shows.ts';

shows('revocation');

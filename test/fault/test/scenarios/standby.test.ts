import { shows } from './shows.ts';

shows('standby');

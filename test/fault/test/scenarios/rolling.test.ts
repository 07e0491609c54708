import { shows } from './shows.ts';

shows('rolling');

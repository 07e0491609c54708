import { shows } from './shows.ts';

shows('restore');

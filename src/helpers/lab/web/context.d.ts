/** What the parts of the view share. */

import type { Archive, PageData } from "./book.d.ts";
import type { Lab } from "./client.js";
import type { Maker } from "./maker.js";
import type { Tasks } from "./task.js";
import type { Picture, Verdict, Wish } from "./types.d.ts";

export type { Picture, Verdict, Wish };

/** An image with what the detectors say of it. */
export interface Made {
  wish: Wish;
  picture: Picture;
  verdicts: Verdict[];
  seconds: { load: number; round: number; make: number };
  bytes: number;
  relativeError: number;
}

export interface Context {
  lab: Lab;
  page: PageData;
  archive: Archive | { missing: string };
  maker: Maker;
  tasks: Tasks;
}

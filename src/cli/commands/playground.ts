import { cp, mkdir, readdir } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { interruptSignal } from "../interrupt.ts";
import { say } from "../progress.ts";
import { numberOption } from "../settings.ts";
import { serveFolder } from "../static-server.ts";

const examples = `
The page trains one network with four optimizers in the browser and shows who learns the wrong labels by heart.

Examples:
  $ lowland playground
  $ lowland playground --port 9000
  $ lowland playground --out site    # a folder for any web server; training takes no server`;

const site = fileURLToPath(new URL("../../playground/site", import.meta.url));

/** `lowland playground` (npm run web): the page that trains in the browser. */
export function playgroundCommand(command: Command): Command {
  return command
    .option("--port <n>", "port on this machine (default: 8080, or a free one if it is taken)", numberOption)
    .option("--out <folder>", "write the page's files to a new folder instead of showing them")
    .addHelpText("after", examples)
    .action(async ({ port, out }: { port?: number; out?: string }) => {
      if (out !== undefined) {
        if (port !== undefined)
          throw new UserError(
            "--port has no meaning with --out, which starts no server; leave one of them out",
          );
        await writeSite(out);
        return;
      }
      if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535))
        throw new UserError(`--port is ${port}; it has to be a whole number from 0 to 65535`);
      const server = await listening(port);
      const { port: used } = server.address() as AddressInfo;
      say(`The playground is at http://localhost:${used}/ (Ctrl-C ends it)`);
      await new Promise((resolve) =>
        interruptSignal("The playground has ended.").addEventListener("abort", resolve),
      );
      server.close();
      server.closeAllConnections();
    });
}

async function listening(port: number | undefined) {
  try {
    return await serveFolder(site, port ?? 8080);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    if (port === undefined) return serveFolder(site, 0);
    throw new UserError(`port ${port} is in use; choose another with --port, or 0 for a free one`);
  }
}

async function writeSite(out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  const [first] = await readdir(out);
  if (first !== undefined)
    throw new UserError(`${out} is not empty (it holds ${first}); choose a new folder with --out`);
  await cp(site, out, { recursive: true });
  say(`The playground is in ${out}; any web server can show it`);
}

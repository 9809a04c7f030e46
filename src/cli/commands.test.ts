import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { commandNames, listedCommand, loadedCommand } from "./commands.ts";

describe("the help of every command", () => {
  for (const name of commandNames) {
    test(name, async () => {
      const command = await loadedCommand(name);
      assert.equal(command.usage(), listedCommand(name).usage(), "the list of commands says its arguments");
      let help = "";
      command.configureOutput({
        writeOut: (text) => {
          help += text;
        },
      });
      command.outputHelp();
      assert.match(help, /\nExamples:\n( {2}\$ (lowland|npm start)\b)/, "examples");
      // Each flag has a description that is not empty.
      for (const { long, description, hidden } of command.options) {
        assert.ok(hidden || description.length > 3, `${long} is not described`);
      }
      assert.doesNotMatch(help, /\b(anew|so many|all the same|undefined|\[object)\b/);
    });
  }
});

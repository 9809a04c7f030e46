import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type CocoKeypoints,
  clippedBox,
  readCocoKeypoints,
  requirePictureSize,
  trainingPersons,
} from "./coco-keypoints.ts";
import { readDetectedBoxes, writeCocoResults } from "./coco-results.ts";

const fixtures = fileURLToPath(new URL("../../../fixtures/datasets", import.meta.url));
const text = (path: string) => readFileSync(`${fixtures}/${path}`, "utf8");
const expected = JSON.parse(text("expected.json"));
const train = text("coco/annotations/person_keypoints_train2017.json");
const read = (source: string) => readCocoKeypoints(source, "train.json");

describe("COCO's file", () => {
  const file = read(train);

  test("pictures, persons, joints and limbs", () => {
    assert.deepEqual(file.pictures[1], { id: 25, file: "000000000025.jpg", width: 120, height: 160 });
    assert.deepEqual(
      [file.pictures.length, file.persons.length],
      [expected.coco.train2017.images, expected.coco.train2017.annotations],
    );
    assert.equal(file.joints[16], "right_ankle");
    assert.deepEqual(file.limbs[0], [15, 13]);
    assert.deepEqual(file.category, { id: 1, name: "person" });
    const [, , crowd, unlabelled, last] = file.persons;
    assert.deepEqual(
      [crowd.isCrowd, crowd.labelled, unlabelled.isCrowd, unlabelled.labelled],
      [true, 0, false, 0],
    );
    assert.deepEqual(last.keypoints.slice(0, 6), [35, 28, 2, 38, 28, 2]);
    assert.deepEqual([last.image, last.area, last.labelled], [25, 2137.004, 16]);
    assert.deepEqual(last.box, [20.79, 27.51, 31.35, 113.61]);
  });

  test("who is trained on, and who is left out for what", () => {
    const { persons, leftOut } = trainingPersons(file);
    assert.equal(persons.length, expected.coco.train2017.personsToTrainOn);
    assert.deepEqual(leftOut, {
      crowd: 1,
      "no labelled joint": 1,
      "box outside the picture": 0,
      "no area": 0,
    });
    assert.deepEqual(persons[2].box, [20.79, 27.51, 30.35, 112.61]);
    assert.deepEqual(file.warnings, [
      "train.json: persons without a labelled joint: 1, the first is annotation 3; they are left out of training",
    ]);
  });
});

/** The file with something changed. */
function changed(change: (document: Record<string, Record<string, unknown>[]>) => void): string {
  const document = JSON.parse(train);
  change(document);
  return JSON.stringify(document);
}
const withFirst = (change: Record<string, unknown>) =>
  changed(({ annotations }) => Object.assign(annotations[0], change));

describe("what is refused, in one sentence", () => {
  const cases: [string, string, RegExp][] = [
    [
      "cut short",
      train.slice(0, 700),
      /^UserError: train\.json is cut short: it ends in the middle, after 700 characters/,
    ],
    ["empty", " \n", /train\.json is empty/],
    ["no JSON", "{images: []}", /train\.json is not JSON: /],
    [
      "NaN as Python writes it",
      train.replace('"area":1191.089', '"area":NaN'),
      /train\.json holds NaN, which JSON does not have/,
    ],
    ["results instead of annotations", '[{"image_id":1}]', /train\.json is a list, as results are/],
    ["no list of images", '{"annotations":[],"categories":[]}', /train\.json: images is missing/],
    ["no image", '{"images":[],"annotations":[],"categories":[]}', /train\.json has no images/],
    [
      "an image that is not there",
      text("coco-flawed/unknown-image-id.json"),
      /annotation 1 belongs to image 12345, which the file does not have/,
    ],
    [
      "too few numbers",
      text("coco-flawed/too-few-numbers.json"),
      /annotation 1 has 48 numbers in keypoints; the category's 17 joints need 51/,
    ],
    [
      "no joint names",
      text("coco-flawed/no-joint-names.json"),
      /not a file of keypoints: no category names joints/,
    ],
    [
      "a coordinate that is no number",
      text("coco-flawed/nan.json"),
      /annotation 1: keypoints\.0 is "x"; it has to be a finite number/,
    ],
    [
      "no box",
      withFirst({ bbox: undefined }),
      /annotation 1 has no bbox; give the person's box as \[x, y, width, height\]/,
    ],
    ["a box of three numbers", withFirst({ bbox: [1, 2, 3] }), /annotation 1: bbox/],
    ["no keypoints", withFirst({ keypoints: undefined }), /annotation 1 has no keypoints/],
    [
      "visibility 3",
      withFirst({ keypoints: [1, 2, 3, ...new Array(48).fill(0)] }),
      /annotation 1: the visibility of nose is 3; it has to be 0 \(not labelled\), 1 \(hidden\) or 2/,
    ],
    [
      "an annotation without an id",
      withFirst({ id: undefined, image_id: undefined }),
      /annotation number 1 of the list: image_id is missing/,
    ],
    [
      "an annotation that is none",
      changed(({ annotations }) => annotations.push(7 as never)),
      /annotation number 6 of the list: it is 7; it has to be an object/,
    ],
    [
      "two images with one id",
      changed(({ images }) => {
        images[1].id = 9;
      }),
      /two images with the id 9/,
    ],
    [
      "an image without a size",
      changed(({ images }) => {
        delete images[2].width;
      }),
      /image 2 of the list: width is missing/,
    ],
    [
      "a limb to nowhere",
      changed(({ categories }) => {
        categories[0].skeleton = [[0, 1]];
      }),
      /the skeleton of "person" connects joint 0; its joints are 1 … 17/,
    ],
    [
      "joints of two categories",
      changed(({ categories }) => categories.push({ ...categories[0], id: 2, name: "dog" })),
      /joints of several categories; choose one of person, dog/,
    ],
  ];
  for (const [name, source, message] of cases) {
    test(name, () => {
      assert.throws(() => read(source), message);
      assert.throws(() => read(source), { name: "UserError", message: /^[^\n]*$/ });
    });
  }

  test("no flawed fixture is forgotten", () => {
    const handled = [
      "missing-image",
      "unknown-image-id",
      "joint-outside",
      "too-few-numbers",
      "no-joint-names",
      "size-differs",
      "id-0",
      "nan",
    ];
    const files = readdirSync(`${fixtures}/coco-flawed`).map((name) => name.replace(".json", ""));
    assert.deepEqual(files.toSorted(), handled.toSorted());
  });

  test("a picture of another size", () => {
    const [picture] = read(text("coco-flawed/size-differs.json")).pictures.filter(({ id }) => id === 25);
    assert.throws(
      () => requirePictureSize(picture, { width: 120, height: 160 }, "train.json"),
      /train\.json says that 000000000025\.jpg is 160×120, the picture is 120×160: it was turned or resized/,
    );
    requirePictureSize(picture, { width: 160, height: 120 }, "train.json");
  });
});

describe("what is accepted, and counted in one sentence", () => {
  const warned = (source: string, message: RegExp): CocoKeypoints => {
    const file = read(source);
    assert.equal(
      file.warnings.filter((sentence) => message.test(sentence)).length,
      1,
      file.warnings.join("\n"),
    );
    return file;
  };

  test("joints outside the picture", () => {
    const file = warned(
      text("coco-flawed/joint-outside.json"),
      /^train\.json: labelled joints outside their picture: 1, the first is nose of annotation 1 at -40, 500;/,
    );
    assert.deepEqual(file.persons[0].keypoints.slice(0, 3), [-40, 500, 2]);
    assert.equal(trainingPersons(file).persons.length, 3);
  });

  test("annotation id 0, ids that are texts, no ids", () => {
    const said = /annotations without a number above 0 as id: 1, the first is annotation/;
    assert.equal(warned(text("coco-flawed/id-0.json"), said).persons.length, 5);
    warned(withFirst({ id: "person-7" }), /the first is annotation person-7;/);
    warned(withFirst({ id: undefined }), /the first is annotation number 1 of the list;/);
  });

  test("ids of images that are texts", () => {
    const file = read(
      changed(({ images, annotations }) => {
        for (const image of images) image.id = `picture ${image.id}`;
        for (const annotation of annotations) annotation.image_id = `picture ${annotation.image_id}`;
      }),
    );
    assert.equal(file.persons[4].image, "picture 25");
  });

  test("boxes outside the picture, boxes of nothing", () => {
    for (const bbox of [
      [500, 20, 30, 30],
      [20, -90, 30, 30],
    ]) {
      const file = warned(
        withFirst({ bbox }),
        /boxes outside their picture: 1, the first is that of annotation 1, \[/,
      );
      const { persons, leftOut } = trainingPersons(file);
      assert.deepEqual([persons.length, leftOut["box outside the picture"]], [2, 1]);
    }
  });

  test("no area: the box's", () => {
    const file = warned(
      withFirst({ area: undefined, bbox: [10, 10, 20, 30] }),
      /annotations without an area: 1/,
    );
    assert.equal(file.persons[0].area, 600);
    assert.equal(trainingPersons(read(withFirst({ area: 0 }))).leftOut["no area"], 1);
  });

  test("persons of other categories are not read", () => {
    const source = changed(({ annotations, categories }) => {
      categories.push({ id: 7, name: "bicycle" });
      annotations.push({ id: 9, image_id: 9, category_id: 7, bbox: [0, 0, 1, 1] });
    });
    assert.equal(read(source).persons.length, 5);
  });

  test("a category by name, with joints of its own", () => {
    const source = changed(({ annotations, categories }) => {
      categories.push({ id: 7, name: "dog", keypoints: ["nose", "tail"] });
      annotations.push({
        image_id: 9,
        category_id: 7,
        bbox: [0, 0, 9, 9],
        keypoints: [1, 2, 2, 3, 4, 1],
        iscrowd: true,
      });
    });
    const { joints, limbs, persons } = readCocoKeypoints(source, "train.json", "dog");
    assert.deepEqual([joints, limbs, persons.length, persons[0].isCrowd], [["nose", "tail"], [], 1, true]);
    assert.throws(
      () => readCocoKeypoints(source, "train.json", "cat"),
      /no category "cat" with joints; choose one of person, dog/,
    );
  });
});

test("boxes are cut to their picture, to nothing where they lie outside", () => {
  const picture = { width: 100, height: 80 };
  assert.deepEqual(clippedBox([-5, 10, 30, 200], picture), [0, 10, 24, 69]);
  assert.deepEqual(clippedBox([10, 10, 20, 20], picture), [10, 10, 19, 19]);
  assert.equal(clippedBox([120, 10, 20, 20], picture), undefined);
  assert.equal(clippedBox([10, 10, 0, -4], { width: 10, height: 80 }), undefined);
});

describe("results", () => {
  const file = read(train);

  test("persons are written in COCO's format, ids and digits as they are", () => {
    const keypoints = file.joints.flatMap((_, joint) => [joint + 0.1, 2 * joint, 0.5]);
    const written = JSON.parse(
      writeCocoResults(
        [
          { image: 9, keypoints, score: 0.1 + 0.2 },
          { image: "b", keypoints, score: 1 },
        ],
        file,
      ),
    );
    assert.deepEqual(written, [
      { image_id: 9, category_id: 1, keypoints, score: 0.1 + 0.2 },
      { image_id: "b", category_id: 1, keypoints, score: 1 },
    ]);
    assert.deepEqual(JSON.parse(writeCocoResults([], file)), []);
    assert.throws(
      () => writeCocoResults([{ image: 9, keypoints: [Number.NaN, 0, 0], score: 1 }], file),
      /image 9 has a coordinate or score that is no finite number/,
    );
  });

  const box = { image_id: 9, category_id: 1, bbox: [1, 2, 3, 4], score: 0.5 };
  const boxes = (results: unknown, least?: number) =>
    readDetectedBoxes(JSON.stringify(results), "boxes.json", file, least);

  test("boxes of the category, from a score on", () => {
    const results = [box, { ...box, category_id: 3, image_id: 777 }, { ...box, image_id: 25, score: 0.1 }];
    assert.deepEqual(boxes(results, 0.2), [{ image: 9, box: [1, 2, 3, 4], score: 0.5 }]);
    assert.deepEqual(
      boxes(results).map(({ image }) => image),
      [9, 25],
    );
    assert.deepEqual(boxes([]), []);
  });

  test("results that are no boxes of these images are refused", () => {
    assert.throws(
      () => boxes([box, { ...box, image_id: 77 }]),
      /boxes\.json: result 2 belongs to image 77, which train\.json does not have/,
    );
    assert.throws(() => boxes([{ ...box, bbox: undefined }]), /boxes\.json: result 1: bbox is missing/);
    assert.throws(() => boxes({ annotations: [] }), /boxes\.json has to be a list of/);
    assert.throws(() => readDetectedBoxes("[{", "boxes.json", file), /boxes\.json is cut short/);
  });
});

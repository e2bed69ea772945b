import numpy as np
import pytest
from PIL import Image

from rc_core.dataset_info import dataset_info
from rc_core.datasets import load_split
from rc_core.image_folders import prepare_folder, read_class_folders

RNG = np.random.default_rng(3)
GRAY = RNG.integers(0, 256, (8, 5, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (8, 5, 6, 3), dtype=np.uint8)


def make_tree(
    root, images, *, layout=(("train", "bee", 2), ("train", "ant", 3), ("test", "bee", 1), ("test", "ant", 1))
):
    """Saves the images one after another in the folders of `layout`: split, class, count."""
    number = 0
    for split, name, count in layout:
        (root / split / name).mkdir(parents=True)
        for position in range(count):
            Image.fromarray(images[number]).save(root / split / name / f"{position}.png")
            number += 1
    return root


def test_records_take_turns_among_sorted_classes(tmp_path):
    folders = read_class_folders(make_tree(tmp_path, COLOUR))
    assert folders.class_names == ("ant", "bee")
    # saved: bee 0-1, ant 2-4, test bee 5, test ant 6
    assert folders.train.labels.tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(folders.train.images, COLOUR[[2, 0, 3, 1, 4]])
    assert folders.test.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(folders.test.images, COLOUR[[6, 5]])


@pytest.mark.parametrize(("images", "channels"), [(GRAY, 1), (COLOUR, 3)])
def test_a_prepared_folder_loads_by_its_name(tmp_path, monkeypatch, images, channels):
    monkeypatch.setenv("RCSWEEP_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    written = prepare_folder(make_tree(tmp_path / "in", images), out, name="insects")
    names = ["insects_train.tfrecord", "insects_test.tfrecord", "insects.dataset.json"]
    assert written == [out / name for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    info = dataset_info("insects", out)
    assert (info.num_train, info.num_test, info.num_classes, info.shape) == (5, 2, 2, (5, 6, channels))
    assert info.class_names == ("ant", "bee")
    split = load_split("insects", "train", data_dir=out)
    np.testing.assert_array_equal(split.images, images[[2, 0, 3, 1, 4]].reshape(5, 5, 6, channels))


def test_one_colour_image_makes_all_of_them_rgb(tmp_path):
    make_tree(tmp_path, GRAY)
    Image.fromarray(COLOUR[0]).save(tmp_path / "test" / "ant" / "0.png")
    folders = read_class_folders(tmp_path)
    np.testing.assert_array_equal(folders.train.images[0], np.repeat(GRAY[2, :, :, None], 3, axis=2))
    np.testing.assert_array_equal(folders.test.images[0], COLOUR[0])


def test_palettes_and_jpeg_are_read_and_hidden_files_skipped(tmp_path):
    make_tree(tmp_path, COLOUR)
    palette = Image.fromarray(COLOUR[0]).quantize(16)
    palette.save(tmp_path / "test" / "ant" / "0.png")
    Image.fromarray(COLOUR[0]).save(tmp_path / "test" / "bee" / "1.JPG", format="JPEG")
    (tmp_path / "test" / "bee" / ".DS_Store").write_bytes(b"x")
    folders = read_class_folders(tmp_path)
    np.testing.assert_array_equal(folders.test.images[0], np.asarray(palette.convert("RGB")))
    assert folders.test.labels.tolist() == [0, 1, 1]


def spoil_missing_split(root):
    (root / "test").rename(root / "validation")


def spoil_other_classes(root):
    (root / "test" / "ant").rename(root / "test" / "wasp")


def spoil_empty_class(root):
    (root / "test" / "ant" / "0.png").unlink()


def spoil_text(root):
    (root / "train" / "ant" / "notes.txt").write_text("x")


def spoil_size(root):
    Image.fromarray(COLOUR[0][:4]).save(root / "train" / "ant" / "1.png")


def spoil_alpha(root):
    Image.fromarray(COLOUR[0]).convert("RGBA").save(root / "train" / "ant" / "1.png")


def spoil_transparency(root):
    Image.fromarray(COLOUR[0]).quantize(4).save(root / "train" / "ant" / "1.png", transparency=0)


def spoil_deep(root):
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(root / "train" / "ant" / "1.png")


def spoil_content(root):
    (root / "train" / "ant" / "1.png").write_bytes(b"no image")


def spoil_truncate(root):
    path = root / "train" / "ant" / "1.png"
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_missing_split, "test is not a directory: the layout is train/<class>"),
        (spoil_other_classes, r"must have the same classes; only in one: \['ant', 'wasp'\]"),
        (spoil_empty_class, "ant has no images"),
        (spoil_text, r"notes.txt is not one of \.png"),
        (spoil_size, "1.png is 4x6, the images before it are 5x6"),
        (spoil_alpha, "1.png has mode RGBA: convert it"),
        (spoil_transparency, "1.png has mode P with transparency: convert it"),
        (spoil_deep, "1.png has mode I;16: convert it"),
        (spoil_content, "1.png cannot be read as an image"),
        (spoil_truncate, "1.png cannot be"),
    ],
)
def test_unusable_trees_are_refused(tmp_path, spoil, message):
    spoil(make_tree(tmp_path / "in", COLOUR))
    with pytest.raises(ValueError, match=message):
        prepare_folder(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_class_is_not_a_data_set(tmp_path):
    make_tree(tmp_path, COLOUR, layout=[("train", "ant", 1), ("test", "ant", 1)])
    with pytest.raises(ValueError, match="at least 2 class directories"):
        read_class_folders(tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "a/b", ""])
def test_reserved_and_malformed_names(tmp_path, name):
    with pytest.raises(ValueError, match="name must"):
        prepare_folder(make_tree(tmp_path / "in", COLOUR), tmp_path / "out", name=name)


def test_an_interrupted_conversion_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        assert total == 7
        if done > 5:  # the training file is complete, the test file is not
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_folder(make_tree(tmp_path / "in", COLOUR), tmp_path / "out", progress=interrupt)
    assert not (tmp_path / "out").exists()

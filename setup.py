"""Packaging of axial_tf; see docs/dependencies.md for each requirement."""

import pathlib
import re

import setuptools

# The two lines of TensorFlow. tensorflow-addons, which the paper's optimizer
# comes from, exists for the older one only.
_OLD, _NEW = '; python_version < "3.12"', '; python_version >= "3.12"'
_REQUIRED = [
    'tensorflow==2.15.1' + _OLD,
    'tensorflow==2.20.*' + _NEW,
    'tf-keras==2.20.*' + _NEW,
    'tf-models-official==2.15.0' + _OLD,
    'tf-models-official==2.20.*' + _NEW,
    'tensorflow-addons==0.23.0' + _OLD,
    'tensorflow-datasets',
    'importlib_resources',
    'absl-py',
    'gin-config==0.5.0',
    'numpy<2' + _OLD,
    'numpy' + _NEW,
    'packaging',
    'Pillow',
    'pycocotools',
    'tqdm',
    # Limits on what the above pull in; docs/dependencies.md says why.
    'setuptools<82',
    'tensorflow-metadata<1.16' + _OLD,
]
_BEAM, _DASK = 'apache-beam>=2.60', 'apache-beam[dask]>=2.60'
# The newest that live with TensorFlow 2.15: numpy 1 and protobuf 4.
_ONNX = ['tf2onnx', 'onnx<1.17' + _OLD, 'onnx' + _NEW,
         'onnxruntime<1.20' + _OLD, 'onnxruntime' + _NEW]
# The newest that live with the TensorFlow above.
_SERVING = ['tensorflow-serving-api==2.15.1' + _OLD,
            'tensorflow-serving-api==2.20.*' + _NEW]
_EXTRAS = {
    # Python 3.9 would get Gradio 4, whose security holes stay open.
    'app': ['gradio>=6,<7; python_version >= "3.10"'],
    'beam': [_BEAM],
    'dask': [_DASK],
    'demo': ['scikit-learn'],
    'gpu': ['tensorflow[and-cuda]==2.15.1' + _OLD,
            'tensorflow[and-cuda]==2.20.*' + _NEW],
    'onnx': _ONNX,
    'serving': _SERVING,
    # panopticapi-lite needs numpy 1, bioimage-cpp Python 3.10.
    'test': [_DASK, *_ONNX, *_SERVING,
             'bioimage-cpp; python_version >= "3.10"', 'cityscapesscripts',
             'hotcoco', 'hypothesis', 'panopticapi-lite' + _OLD, 'pytest',
             'pytest-xdist', 'scikit-learn', 'wheel'],
    'dev': ['ruff'],
}

# gin_configs stands beside the package in the source tree and inside it in a
# wheel, so that a wheel has no other top-level names than the two packages.
_CONFIGS = 'axial_tf.gin_configs'

_root = pathlib.Path(__file__).parent
_version = re.search(
    r"^__version__ = '(.+)'$",
    (_root / 'axial_tf' / 'version.py').read_text(encoding='utf-8'),
    re.MULTILINE).group(1)

setuptools.setup(
    name='axial_tf',
    version=_version,
    description='Axial-DeepLab panoptic segmentation in TensorFlow 2 and Keras',
    long_description=(_root / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3.9',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
    ],
    python_requires='>=3.9,<3.14',
    entry_points={'console_scripts': ['axial-tf = axial_tf.__main__:main']},
    install_requires=_REQUIRED,
    extras_require=_EXTRAS,
    packages=setuptools.find_packages(
        include=['axial_tf', 'axial_tf.*', 'data_prep', 'data_prep.*'])
    + [_CONFIGS],
    package_dir={_CONFIGS: 'gin_configs'},
    package_data={
        'axial_tf.specs': ['*.json'],
        _CONFIGS: ['**/*.gin', '**/*.json'],
    },
)
